"""One update of a model shape: seconds, tokens/s, MFU, memory; with shared prompts and without.

    python bench/update.py --model=smollm2-135m --lengths=512/64,256/256,64/512
    torchrun --nproc_per_node=8 bench/update.py --model=qwen2.5-7b --lengths=1024/3072 \\
        --micro_tokens=16384 --checkpoint_layers

`--lengths` are tokens of prompt / answer, `--samples` (8) answers to a prompt, `--groups` (2)
prompts, `--rounds` (3) repetitions, in turn. All other flags are keys of the configuration. Weights
are random. "alone" gives every sample a prompt of its own, which is what an update costs that
shares none. MFU counts 6 FLOPs a weight for each token computed, none for attention or for what is
made again in the backward pass. The peak is of GPU memory; on a CPU, of the whole process so far.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from shapes import ROOT, SHAPES, demo_tokenizer, parameters, peak_flops, write_random_model

sys.path.insert(0, str(ROOT))

from config import load_config  # noqa: E402
from rollout import Group, Response, Sample  # noqa: E402
from run import gather, leave_ranks, peak_gb, set_up_ranks  # noqa: E402
from startup.model import load_policy, make_optimizer  # noqa: E402
from train import update  # noqa: E402

OWN = {"model": "smollm2-135m", "lengths": "512/64,256/256,64/512"}
OWN |= {"samples": "8", "groups": "2", "rounds": "3"}


def made_up(
    groups: int, samples: int, prompt: int, answer: int, vocabulary: int = 40_000
) -> list[Group]:
    """Random tokens; advantages that are not flat."""
    made = []
    for index in range(groups):
        group = Group(index, "code", None, "", torch.randint(4, vocabulary, (prompt,)).tolist())
        for g in range(samples):
            ids = torch.randint(4, vocabulary, (answer,)).tolist()
            response = Response(ids, [-10.0] * answer, "", True)
            advantage = (-1.0) ** (g if samples > 1 else index)
            group.samples.append(Sample(response, None, advantage=advantage))
        made.append(group)
    return made


def measure(cfg, policy, optimizer, ways: dict[str, list[Group]], rounds: int) -> dict:
    """way -> (median seconds of an update, tokens computed on all ranks, peak GiB)."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    peaks, computed = {}, {}
    for turn in range(rounds + 1):  # the first warms up
        for way, groups in ways.items():
            if policy.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            stats = update(cfg, 1, groups, policy, None, optimizer)
            assert stats["grad_norm"] > 0  # and waits for the GPU
            if turn:
                seconds[way].append(time.perf_counter() - start)
            peaks[way], computed[way] = peak_gb(), sum(gather(stats["computed"]))
    return {way: (statistics.median(seconds[way]), computed[way], peaks[way]) for way in ways}


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
            write_random_model(own["model"], Path(scratch), demo_tokenizer())
        policy = load_policy(cfg, gather(scratch)[0], device, cfg.states)
        gather(None, "reading")
    optimizer = make_optimizer(cfg, policy)
    body, head = parameters(policy.model.config)
    peak, source = peak_flops()
    where = f"{world} process(es) on {device.type}, {cfg.compute_dtype}"
    lines = [f"{own['model']}, {where}; peak {peak / 1e12:.3g} TFLOP/s ({source})"]
    samples, count = int(own["samples"]), int(own["groups"])
    for pair in own["lengths"].split(","):
        prompt, answer = map(int, pair.split("/"))
        torch.manual_seed(0)
        shared = made_up(count, samples, prompt, answer)
        alone = made_up(count * samples, 1, prompt, answer)
        ways = {"shared": shared, "alone": alone}
        found = measure(cfg, policy, optimizer, ways, int(own["rounds"]))
        tokens, answers = count * samples * (prompt + answer), count * samples * answer
        for way, (seconds, computed, memory) in found.items():
            used = 6 * (body * computed + head * answers) / seconds / world / peak
            lines.append(
                f"{prompt:>6}/{answer:<5} {way:<7}{seconds:8.2f} s  {tokens / seconds:8.0f} "
                f"tokens/s  {computed:>7.0f} computed  MFU {used:5.1%}  peak {memory:.2f} GiB"
            )
        ratio, saved = (
            found["alone"][0] / found["shared"][0],
            found["alone"][1] / found["shared"][1],
        )
        lines.append(f"{'':>13}alone / shared {ratio:.2f} (tokens {saved:.2f})")
        if rank == 0:
            print("\n".join(lines), flush=True)
        lines = []
    leave_ranks()


if __name__ == "__main__":
    main()
