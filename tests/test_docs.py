"""The README and docs/ stay short, and what they name exists: files, functions, flags, links."""

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"out", "data", "models"}
COMMAND = re.compile(r"(?:^ {4}|`)((?:python|torchrun|--[a-z])[^`\n]*)", re.M)


def text_of(page: Path) -> str:
    """With commands in backticks on one line each."""
    return re.sub(r"`[^`]*`", lambda span: span[0].replace("\n", " "), page.read_text())


def flags_in(text: str) -> set[str]:
    return {f.replace("-", "_") for f in re.findall(r"(?<![\w-])--([a-z][\w-]*)", text)}


@functools.cache
def flags_of(script: str) -> set[str]:
    """Flags that a script's source names, and those that --help shows if it reads a config."""
    source = (ROOT / script).read_text()
    if "load_config" in source:
        command = [sys.executable, "eval.py" if script == "eval.py" else "train.py", "--help"]
        source += subprocess.check_output(command, cwd=ROOT, text=True)
    return flags_in(source) | {"help"}


@each_page
def test_a_page_is_short(page):
    assert len(page.read_text().split()) <= (1500 if page == README else 1200)


def test_the_first_command_stands_within_150_words():
    before = re.split(r"^(?: {4}|```)", README.read_text(), maxsplit=1, flags=re.M)[0]
    assert len(before.split()) < 150


def test_the_loop_in_the_readme_is_that_of_train_py():
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    rest = (ROOT / "train.py").read_text()
    for line in filter(None, (line.partition("#")[0].strip(" :") for line in block.splitlines())):
        assert line in rest, line
        rest = rest.partition(line)[2]  # in the same order


@each_page
def test_files_that_a_page_names_exist(page):
    names = set(re.findall(r"(?<![\w/.:*<-])[\w.-]++(?:/[\w.-]++)*+(?![*<])", text_of(page)))
    ours = {n.rstrip(".") for n in names if "/" in n and n.split("/")[0] in FOLDERS}
    ours |= {n for n in names - {"program.py"} if n.endswith(".py")}
    assert sorted(n for n in ours if not (ROOT / n).exists()) == []


@each_page
def test_functions_that_a_page_names_stand_in_their_files(page):
    for file, names in re.findall(r"`([\w/]+\.py)`: ((?:`\w+`(?:, )?)+)", text_of(page)):
        defined = re.findall(r"^(?:def |class )?(\w+)\b.*[(:=]", (ROOT / file).read_text(), re.M)
        assert {*re.findall(r"\w+", names)} <= {*defined}, file


@each_page
def test_flags_that_a_page_names_exist(page):
    for command in COMMAND.findall(text_of(page)):
        script = re.search(r"(?<=\s)((?:\w+/)?\w+\.py)\b(.*)", command)
        if not script and command.startswith("--"):  # of training or evaluation
            assert flags_in(command) <= flags_of("eval.py"), command
        elif script and script[1] != "program.py":
            assert flags_in(script[2].split("#")[0]) <= flags_of(script[1]), command


@each_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)\s]+)\)", text_of(page)):
        file, _, anchor = target.partition("#")
        there = page.parent / file if file else page
        assert there.exists(), target
        heads = re.findall(r"^#+ (.*)", there.read_text().lower(), re.M) if anchor else []
        assert anchor in {"", *(re.sub(r"[^\w -]", "", h).replace(" ", "-") for h in heads)}, target
