"""How many of the project's files and functions does one training step enter?

    python bench/entered.py [CHECKOUT]     # of another checkout, to compare; half a minute

A tiny model trains for three steps with vLLM, and the second is counted, from the end of one
log_step() to the end of the next: it has problems and questions, no evaluation and no checkpoint.
Functions of all threads count, methods and lambdas too, comprehensions do not. Left out: what runs
inside the sandbox, in processes of its own.
"""

import os
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

ROOT = Path(sys.argv[1] if sys.argv[1:] else Path(__file__).parent.parent).resolve()
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ["TOKENIZERS_PARALLELISM"] = "false"

KEYS = """--dtype=float32 --steps=3 --prompts_per_step=4 --samples_per_prompt=4 --align_ratio=0.5
    --max_prompt_tokens=400 --max_tokens=48 --kv_cache_gb=0.1 --lr=1e-4 --eval_every=0"""
entered: set[CodeType] = set()
logged = 0  # steps


def profile(frame: FrameType, event: str, _: object) -> None:
    global logged
    if event == "return" and frame.f_code.co_name == "log_step":
        logged += 1
    elif event == "call" and logged == 1:
        entered.add(frame.f_code)


def main() -> None:
    if not (ROOT / "train.py").exists():
        sys.exit("usage: python bench/entered.py [CHECKOUT]")
    import tiny

    import train
    from config import load_config

    with tempfile.TemporaryDirectory() as folder:
        model = tiny.make_taught_directory(Path(folder) / "model")
        problems = tiny.write_problems(Path(folder) / "problems.jsonl")
        where = [f"--model={model}", f"--problems={problems}", f"--out_dir={folder}"]
        cfg = load_config([*where, *KEYS.split()])
        threading.setprofile(profile)  # for the threads that judge programs
        sys.setprofile(profile)
        train.train(cfg)
        sys.setprofile(None)
    train.leave_ranks()
    places = [(Path(code.co_filename), code.co_name) for code in entered]
    ours = [path.relative_to(ROOT) for path, name in places if is_counted(path, name)]
    for path, count in sorted(Counter(ours).items()):
        print(f"{count:>5} {path}")
    for title, inside in (("the project", False), ("jail/", True)):
        part = [path for path in ours if (path.parts[0] == "jail") == inside]
        print(f"{title}: {len(set(part))} files, {len(part)} functions")


def is_counted(path: Path, name: str) -> bool:
    ours = path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / ".venv")
    return ours and path != Path(__file__) and (name[0] != "<" or name == "<lambda>")


if __name__ == "__main__":
    main()
