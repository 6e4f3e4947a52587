"""CodeRL+ (arXiv 2510.18471) in one loop: GRPO on programs, plus questions about their execution.

    python train.py configs/demo.py [--key=value ...]
    torchrun --nproc_per_node=8 train.py configs/small.py

Every step samples programs and answers, runs the programs, traces the failed ones, and takes
`optimizer_steps` policy-gradient steps on both objectives in one batch:

    J(theta) = E[ r  A_gen ]  on code:      r = 1 if all tests pass
             + E[ r' A_sem ]  on alignment: r' = share of variable values predicted right

The formulas are in algorithms.py. Left out: a critic, a reward model, the KL term unless kl_coef is
set, and sharding (every rank holds the whole model).
"""

import random
import sys
import time
from concurrent.futures import Future

import torch
import torch.distributed as dist
from transformers import AutoTokenizer, PreTrainedModel

from algorithms import (
    group_advantages,
    kl_estimate,
    long_penalty,
    policy_loss,
    token_weights,
    whitening,
)
from batch import Group, choose_batch, code_groups, extend_buffer
from config import Config, UserError, check_world, load_config
from data import Problem, fitting, load_problems
from eval import evaluate
from policy import MicroBatch, load_policy, named_weights, split_batch
from ranks import all_reduce, gather, leave_ranks, return_freed_memory, set_up_ranks
from reward import (
    Question,
    extract_program,
    judge,
    make_question,
    score_answer,
    worked_examples,
)
from rollout import Request, Response, make_engine, model_directory
from sandbox import Pool, Sandbox, SandboxUnavailable
from tools.report import write_report
from tools.rundir import RunDir, State, sample_row


class Clock:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = self.laps.get(name, 0.0) + now - self.last
        self.last = now


# ------------------------------------------------------------------------------- one step
def sample_and_judge(
    cfg: Config, step: int, groups: list[Group], engine, pool: Pool, clock: Clock
) -> None:
    """Fill the groups with responses and rewards.

    Programs run while other responses are still sampled; the lap "judge" is what that leaves over.
    """
    size = cfg.samples_per_prompt
    requests = [
        Request(
            prompt_ids=group.prompt_ids,
            seed=sample_seed(cfg, step, group.index, g),
            max_tokens=cfg.max_tokens,
            temperature=cfg.temperature,
            stop=cfg.stop,
        )
        for group in groups
        for g in range(size)
    ]
    judged: dict[int, Future] = {}

    def on_finish(i: int, response: Response) -> None:
        group = groups[i // size]
        if group.problem:
            source = f"{step}/{group.index}/{i % size}"
            judged[i] = pool.submit(judge_and_trace, group.problem, response.text, source, cfg)

    responses = engine.sample(requests, on_finish) if requests else []
    clock.lap("sample")
    for i, response in enumerate(responses):
        group = groups[i // size]
        if group.problem:
            program, outcome, questions = judged[i].result()
            group.rewards.append(outcome.reward(cfg.reward))
            group.questions += questions
        else:
            program = group.question.program
            outcome = score_answer(response.text, group.question, cfg.format_bonus)
            group.rewards.append(outcome.reward)
        group.responses.append(response)
        group.programs.append(program)
        group.outcomes.append(outcome)
        long = long_penalty(len(response.token_ids), cfg.max_tokens) if cfg.algo == "dapo" else 0
        group.penalties.append(-long)
    set_advantages(cfg, groups)
    clock.lap("judge")


def set_advantages(cfg: Config, groups: list[Group]) -> None:
    """Advantages of this rank's groups; for reinforce++ all ranks must call this together."""
    for group in groups:
        rewards = torch.tensor(group.rewards) - torch.tensor(group.penalties)
        group.advantages = group_advantages(rewards, cfg.algo).tolist()
    if cfg.algo == "reinforce++":
        pairs = [
            (len(r.token_ids), a)
            for g in groups
            for r, a in zip(g.responses, g.advantages, strict=True)
        ]
        sums = [sum(n * a**power for n, a in pairs) for power in (0, 1, 2)]
        mean, std = whitening(*map(sum, zip(*gather(sums), strict=True)))
        for group in groups:
            group.advantages = [(a - mean) / std for a in group.advantages]


def resample_flat(
    cfg: Config, state: State, mine: list[Group], problems: list[Problem], tokenizer, engine,
    pool: Pool, clock: Clock,
) -> list[Group]:  # fmt: skip
    """DAPO's dynamic sampling: a new problem for each flat group of any rank, so many rounds."""
    first, latest, made = cfg.prompts_per_step, mine, []
    for _ in range(cfg.resample_rounds):
        flat = sum(gather(sum(not any(g.advantages) for g in latest)))
        fresh = code_groups(cfg, state, problems, tokenizer, flat, first)
        first += flat
        latest = [g for g in fresh if g.index % dist.get_world_size() == dist.get_rank()]
        sample_and_judge(cfg, state.step, latest, engine, pool, clock)
        made += latest
    return made


def subtract_kl(
    cfg: Config, groups: list[Group], model: PreTrainedModel, reference: PreTrainedModel
) -> None:
    """Take kl_coef times the KL of each answer off its reward, and compare again."""
    with torch.no_grad():
        for batch in split_batch(cfg, groups, model.device):
            logp, ref_logp = batch.logprobs(cfg, model), batch.logprobs(cfg, reference)
            kl = kl_estimate(logp, ref_logp, cfg.kl_estimator).split(batch.lengths)
            sums = iter([float(part.sum()) for part in kl])
            for group in batch.groups:
                group.penalties = [p + cfg.kl_coef * next(sums) for p in group.penalties]
    set_advantages(cfg, groups)


def sample_seed(cfg: Config, step: int, index: int, g: int) -> int:
    """A seed for one sample that depends on nothing else: not on ranks, order or history."""
    return random.Random(f"sample/{cfg.seed}/{step}/{index}/{g}").getrandbits(31)


def judge_and_trace(
    sandbox: Sandbox, problem: Problem, text: str, source: str, cfg: Config
) -> tuple:
    """(program, verdict, questions) of one response. Runs in a worker thread of the pool."""
    program = extract_program(text)
    verdict = judge(sandbox, problem, program)
    questions = []
    wanted = cfg.align_ratio and program and verdict.status not in ("passed", "timeout")
    if wanted and "inputs" in problem.tests:
        for given in problem.tests["inputs"][: cfg.align_inputs]:
            made = make_question(sandbox, program, given, problem.tests.get("fn_name"), cfg)
            if isinstance(made, Question):
                made.task_id, made.source = problem.task_id, source
                questions.append(made)
    return program, verdict, questions


def update(
    cfg: Config,
    groups: list[Group],
    model: PreTrainedModel,
    reference: PreTrainedModel | None,
    optimizer: torch.optim.Optimizer,
    warmup: torch.optim.lr_scheduler.LRScheduler,
) -> dict[str, float]:
    """`optimizer_steps` steps of AdamW on the groups of all ranks. Returns this rank's statistics.

    The loss is a mean over the optimizer step, every rank and micro-batch of it: each token has its
    weight in that, and gradients are summed, never averaged, over ranks.
    """
    if cfg.algo == "dapo":
        groups = [group for group in groups if any(group.advantages)]
    parts = [groups[k :: cfg.optimizer_steps] for k in range(cfg.optimizer_steps)]
    steps = [split_batch(cfg, part, model.device) for part in parts]
    if cfg.optimizer_steps > 1:  # with one step, the old policy is the present one
        with torch.no_grad():
            for batch in (b for batches in steps for b in batches):
                batch.old_logp = batch.logprobs(cfg, model)
    stats = dict.fromkeys(("trained", "clipped", "kl", "gap", "gap_kl", "max_gap"), 0.0)
    for part, batches in zip(parts, steps, strict=True):
        lengths = [len(response.token_ids) for group in part for response in group.responses]
        totals = torch.tensor([sum(lengths), len(lengths)], device=model.device)
        totals = all_reduce(totals).clamp(min=1).tolist()
        optimizer.zero_grad()
        for batch in batches:
            backward(cfg, batch, model, reference, totals, stats)
        stats["grad_norm"] = reduce_and_clip(model, cfg.grad_clip)
        stats["lr"] = optimizer.param_groups[0]["lr"]
        optimizer.step()
        warmup.step()
    return stats


def backward(
    cfg: Config,
    batch: MicroBatch,
    model: PreTrainedModel,
    reference: PreTrainedModel | None,
    totals: list[int],
    stats: dict[str, float],
) -> None:
    """Add the gradient of one micro-batch, and what it shows to `stats`.

    totals: [tokens, sequences] of the optimizer step, on all ranks.
    """
    logp = batch.logprobs(cfg, model)  # (T,)
    old_logp = logp.detach() if batch.old_logp is None else batch.old_logp
    loss, clipped = policy_loss(
        cfg.algo,
        logp,
        old_logp,
        batch.sampler_logp,
        batch.advantages,
        batch.lengths,
        cfg.clip_low,
        cfg.clip_high,
        cfg.tis_cap,
    )
    if reference and cfg.kl_in == "loss":
        with torch.no_grad():
            ref_logp = batch.logprobs(cfg, reference)
        kl = kl_estimate(logp, ref_logp, cfg.kl_estimator)
        loss = loss + cfg.kl_coef * kl
        stats["kl"] += float(kl.detach().sum())
    weights = token_weights(cfg.algo, batch.lengths, *totals, cfg.max_tokens).to(loss)
    (loss * weights).sum().backward()
    gap = old_logp - batch.sampler_logp  # of the same weights: rounding, unless a sync was lost
    stats["trained"] += len(logp)
    stats["clipped"] += float(clipped.sum())
    stats["gap"] += float(gap.abs().sum())
    stats["gap_kl"] += float((gap.exp() - 1 - gap).sum())  # k3 of KL(sampler || trainer)
    stats["max_gap"] = max(stats["max_gap"], float(gap.abs().max()))


def reduce_and_clip(model: PreTrainedModel, grad_clip: float) -> float:
    """Sum gradients over ranks, clip them together; returns the norm before clipping."""
    for parameter in model.parameters():
        if parameter.grad is None:  # this rank had nothing but flat groups so far
            parameter.grad = torch.zeros_like(parameter)
        all_reduce(parameter.grad)
    return float(torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip))


# ------------------------------------------------------------------------------- the run
def train(cfg: Config) -> None:
    """The whole run: sample, run, reward, trace, advantage, update, sync, log, eval, save."""
    device = set_up_ranks()
    rank, world = dist.get_rank(), dist.get_world_size()
    check_world(cfg, world)
    run = RunDir(cfg)
    start_from = str(run.latest()) if cfg.resume else model_directory(cfg.model)
    tokenizer = AutoTokenizer.from_pretrained(start_from)
    problems = fitting(load_problems(cfg.problems), tokenizer, cfg)
    model = load_policy(start_from, device)
    reference = load_policy(model_directory(cfg.model), device) if cfg.kl_coef else None
    optimizer = torch.optim.AdamW(
        model.parameters(), cfg.lr, betas=(0.9, 0.95), weight_decay=cfg.weight_decay, fused=True
    )
    warmup = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: min(1.0, (done + 1) / (cfg.warmup_steps + 1))
    )
    state = run.restore(optimizer, warmup) if cfg.resume else State()
    run.say(f"starting the sampler, {cfg.engine} (some 10 s)")
    engine = make_engine(cfg, start_from, device)
    engine.sync(named_weights(model))
    limits = {"timeout_s": cfg.timeout_s, "memory_mb": cfg.memory_mb, "mode": cfg.sandbox}
    with Pool(cfg.sandbox_workers, **limits) as pool:
        examples = pool.submit(worked_examples, cfg).result()
        walls = pool.submit(lambda sandbox: sandbox.layers).result()
        run.say(f"{len(problems)} problems, {world} process(es) on {device.type}; sandbox: {walls}")

        def evaluate_if_due() -> None:
            if run.evaluation_due(state.step):
                run.log_evaluation(evaluate(cfg, engine, tokenizer, pool, examples), state.step)

        evaluate_if_due()
        stop = False
        while state.step < cfg.steps and not stop:
            state.step += 1
            clock = Clock()
            groups = choose_batch(cfg, state, problems, examples, tokenizer)
            mine = [g for g in groups if g.index // cfg.optimizer_steps % world == rank]
            sample_and_judge(cfg, state.step, mine, engine, pool, clock)
            if cfg.algo == "dapo":
                mine += resample_flat(cfg, state, mine, problems, tokenizer, engine, pool, clock)
            extend_buffer(cfg, state, mine, examples, tokenizer)
            engine.sleep()
            if reference and cfg.kl_in == "reward":
                subtract_kl(cfg, mine, model, reference)
            stats = update(cfg, mine, model, reference, optimizer, warmup)
            clock.lap("train")
            engine.sync(named_weights(model))
            clock.lap("sync")
            rows = [sample_row(state.step, g, i) for g in mine for i in range(len(g.responses))]
            run.log_step(state, rows, stats, clock.laps)
            stop = run.interrupted()
            if state.step % cfg.save_every == 0 or state.step == cfg.steps or stop:
                run.save(state, model, tokenizer, optimizer, warmup)
                return_freed_memory()
            evaluate_if_due()
    if rank == 0:
        print(run.before_and_after(), f"report: {write_report(cfg.run_dir)}", sep="\n")
    if stop:
        run.say(f"stopped after step {state.step}; go on with: python train.py ... --resume")


def main() -> None:
    try:
        train(load_config(sys.argv[1:]))
    except (UserError, SandboxUnavailable) as error:
        sys.exit(f"error: {error}")
    finally:
        leave_ranks()


if __name__ == "__main__":
    main()
