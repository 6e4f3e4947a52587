"""One update of a model shape: seconds, tokens/s, MFU, memory; prompts shared by samples, and not.

    python bench/update.py --model=smollm2-135m --lengths=512/64,256/256,64/512
    torchrun --nproc_per_node=8 bench/update.py --model=qwen2.5-7b --lengths=1024/3072 \\
        --micro_tokens=16384 --checkpoint_layers

`--lengths` are tokens of prompt / answer, `--samples` (8) answers to a prompt, `--groups` (2)
prompts, `--rounds` (3) repetitions, in turn. All other flags are keys of the configuration. Weights
are random. "alone" has a prompt of its own for every sample, so that nothing can be shared: this is
what packing without sharing costs. MFU counts 6 FLOPs a weight for each token computed, none for
attention or for what is made again in the backward pass. The peak is of GPU memory; on a CPU, of
the whole process so far.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from shapes import ROOT, SHAPES, parameters, peak_flops, write_random_model

sys.path.insert(0, str(ROOT))

from batch import Group  # noqa: E402
from config import load_config  # noqa: E402
from policy import load_policy  # noqa: E402
from ranks import gather, leave_ranks, set_up_ranks  # noqa: E402
from rollout import Response  # noqa: E402
from tools.memory import peak_gb  # noqa: E402
from train import update  # noqa: E402

OWN = {"model": "smollm2-135m", "lengths": "512/64,256/256,64/512"}
OWN |= {"samples": "8", "groups": "2", "rounds": "3"}


def made_up(groups: int, samples: int, prompt: int, answer: int) -> list[Group]:
    """Random tokens; advantages that are not flat."""
    made = []
    for index in range(groups):
        group = Group(index, "", torch.randint(4, 40_000, (prompt,)).tolist())
        for g in range(samples):
            ids = torch.randint(4, 40_000, (answer,)).tolist()
            group.responses.append(Response(ids, [-10.0] * answer, "", True))
            group.advantages.append((-1.0) ** g if samples > 1 else (-1.0) ** index)
        made.append(group)
    return made


def main() -> None:
    flags = dict(a.lstrip("-").partition("=")[::2] for a in sys.argv[1:])
    own = OWN | {k: v for k, v in flags.items() if k in OWN}
    cfg = load_config([a for a in sys.argv[1:] if a.lstrip("-").partition("=")[0] not in OWN])
    if own["model"] not in SHAPES:
        sys.exit(f"error: no shape {own['model']!r}; there are {', '.join(SHAPES)}")
    device = set_up_ranks()
    rank, world = dist.get_rank(), dist.get_world_size()
    with tempfile.TemporaryDirectory() as scratch:
        if rank == 0:
            write_random_model(own["model"], Path(scratch))
        directory = gather(scratch)[0]
        policy = load_policy(cfg, directory, device, cfg.offload)
        gather(None, "reading")
    optimizer = torch.optim.AdamW(policy.parameters(), cfg.lr, fused=True)
    body, head = parameters(policy.model.config)
    peak, source = peak_flops()
    if rank == 0:
        where = f"{world} process(es) on {device.type}, {cfg.compute_dtype}"
        print(f"{own['model']}, {where}; peak {peak / 1e12:.3g} TFLOP/s ({source})", flush=True)
    samples, count = int(own["samples"]), int(own["groups"])
    for pair in own["lengths"].split(","):
        prompt, answer = map(int, pair.split("/"))
        torch.manual_seed(0)
        ways = {
            "shared": made_up(count, samples, prompt, answer),
            "alone": made_up(count * samples, 1, prompt, answer),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        peaks, computed = {}, {}
        for turn in range(int(own["rounds"]) + 1):
            for way, groups in ways.items():
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                start = time.perf_counter()
                stats = update(cfg, 1, groups, policy, None, optimizer)
                assert stats["grad_norm"] > 0  # and waits for the GPU
                if turn:
                    seconds[way].append(time.perf_counter() - start)
                peaks[way], computed[way] = peak_gb(), sum(gather(stats["computed"]))
        middle = {way: statistics.median(s) for way, s in seconds.items()}
        for way in ways:
            answers = count * samples * answer
            rate = 6 * (body * computed[way] + head * answers) / middle[way] / world
            if rank == 0:
                print(
                    f"{prompt:>6}/{answer:<5} {way:<7}{middle[way]:8.2f} s  "
                    f"{count * samples * (prompt + answer) / middle[way]:8.0f} tokens/s  "
                    f"{computed[way]:>7.0f} computed  MFU {rate / peak:5.1%}  "
                    f"peak {peaks[way]:.2f} GiB"
                )
        if rank == 0:
            tokens = samples * (prompt + answer) / (prompt + samples * answer)
            ratio = middle["alone"] / middle["shared"]
            print(f"{'':>13}alone / shared {ratio:.2f} (tokens {tokens:.2f})", flush=True)
    leave_ranks()


if __name__ == "__main__":
    main()
