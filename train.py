"""CodeRL+ (arXiv 2510.18471) in one loop: GRPO on programs, plus questions about their execution.

    python train.py configs/demo.py [--key=value ...]
    torchrun --nproc_per_node=8 train.py configs/small.py

Every step samples programs and answers, runs the programs, traces the failed ones, and takes
`optimizer_steps` policy-gradient steps on both objectives in one batch:

    J(theta) = E[ r  A_gen ]  on code:      r = 1 if all tests pass
             + E[ r' A_sem ]  on alignment: r' = share of variable values predicted right,
                                            and a little for an answer of the right form

The formulas are in algorithms.py. Left out: a critic, a reward model, and the KL term unless
kl_coef is set.
"""

import random
import sys
import time
from concurrent.futures import Future

import torch
import torch.distributed as dist
from transformers import AutoTokenizer

from algorithms import (
    group_advantages,
    kl_estimate,
    long_penalty,
    policy_loss,
    token_weights,
    whitening,
)
from batch import Group, choose_batch, extend_buffer
from config import Config, UserError, check_world, load_config
from data import Problem, fitting, load_problems
from eval import evaluate
from policy import MicroBatch, Policy, load_policy, named_weights, split_batch
from ranks import gather, leave_ranks, set_up_ranks
from reward import (
    Question,
    Verdict,
    extract_program,
    judge,
    make_question,
    name_to_trace,
    score_answer,
    worked_examples,
)
from rollout import Request, Response, make_engine, model_directory
from sandbox import Pool, Sandbox, SandboxUnavailable
from tasks import make_items
from tools.memory import MemoryWatch, return_freed_memory
from tools.report import RunError, write_report
from tools.rundir import RunDir, State


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
def rollout(
    cfg: Config, step: int, groups: list[Group], engine, pool: Pool, clock: Clock
) -> list[Group]:
    """Fill groups with responses, rewards and advantages: each rank its share, all get the whole.

    Programs run while other responses are still sampled; the lap "judge" is what that leaves over.
    """
    samplers = dist.get_world_size() // cfg.rollout_tp
    sampler = dist.get_rank() // cfg.rollout_tp
    mine = [group for group in groups if group.index % samplers == sampler]
    sample_and_judge(cfg, step, mine, engine, pool, clock)
    parts = gather(mine, "sampling")[:: cfg.rollout_tp]  # one rank of each sampler
    groups = [group for part in parts for group in part]
    groups.sort(key=lambda group: group.index)
    set_advantages(cfg, groups)
    clock.lap("judge")
    return groups


def sample_and_judge(
    cfg: Config, step: int, groups: list[Group], engine, pool: Pool, clock: Clock
) -> None:
    size = cfg.samples_per_prompt
    requests = [
        Request(
            prompt_ids=group.prompt_ids,
            seed=sample_seed(cfg, step, group.index, g),
            max_tokens=cfg.max_tokens,
            temperature=cfg.temperature,
            stop=cfg.stop,
            begun=group.begun,
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

    responses = engine.sample(requests, on_finish)
    clock.lap("sample")
    for i, response in enumerate(responses):
        group = groups[i // size]
        if group.problem:
            program, outcome, questions = judged[i].result()
            group.rewards.append(outcome.reward(cfg.reward))
            group.questions += questions
        else:
            program = group.question.program
            ended = response.finished
            outcome = score_answer(response.text, group.question, cfg.format_bonus, ended)
            group.rewards.append(outcome.reward)
        group.responses.append(response)
        group.programs.append(program)
        group.outcomes.append(outcome)
        long = long_penalty(len(response.token_ids), cfg.max_tokens) if cfg.algo == "dapo" else 0
        group.penalties.append(-long)


def set_advantages(cfg: Config, groups: list[Group]) -> None:
    """Advantages from rewards. groups: those of all ranks."""
    for group in groups:
        rewards = torch.tensor(group.rewards) - torch.tensor(group.penalties)
        if cfg.algo == "dapo" and len(set(group.rewards)) == 1:
            rewards = torch.zeros_like(rewards)  # flat, whatever the penalties: 2503.14476, eq. 11
        group.advantages = group_advantages(rewards, cfg.algo).tolist()
    if cfg.algo == "reinforce++":
        pairs = [
            (len(r.token_ids), a)
            for group in groups
            for r, a in zip(group.responses, group.advantages, strict=True)
        ]
        mean, std = whitening(*(sum(n * a**power for n, a in pairs) for power in (0, 1, 2)))
        for group in groups:
            group.advantages = [(a - mean) / std for a in group.advantages]
    for group in groups:
        if group.problem:
            group.advantages = [a * cfg.code_weight for a in group.advantages]


def resample_flat(
    cfg: Config, state: State, groups: list[Group], problems: list[Problem],
    examples: list[Question], tokenizer, engine, pool: Pool, clock: Clock,
) -> list[Group]:  # fmt: skip
    """DAPO's dynamic sampling: `resample_rounds` times a new problem for each flat group, a new
    question for one of alignment. The flat ones stay for the log; update() leaves them out."""
    latest, made = groups, []
    for _ in range(cfg.resample_rounds):
        flat = [group.objective for group in latest if not any(group.advantages)]
        n, n_align, first = len(flat), flat.count("align"), len(groups) + len(made)
        fresh = choose_batch(cfg, state, problems, examples, tokenizer, n, n_align, first)
        latest = rollout(cfg, state.step, fresh, engine, pool, clock)
        made += latest
    return made


def subtract_kl(cfg: Config, groups: list[Group], policy: Policy, reference: Policy) -> float:
    """Take kl_coef times the KL of each answer off its reward, and compare again.

    Returns the sum of the KL over this rank's tokens.
    """
    found = []
    for batch in split_batch(cfg, groups, policy.device):
        logp, ref_logp = policy.frozen(batch.pack), reference.frozen(batch.pack)
        kl = kl_estimate(logp, ref_logp, cfg.kl_estimator).split(batch.pack.lengths)
        for (group, g), part in zip(batch.samples, kl, strict=False):
            found.append((group.index, g, float(part.sum())))
    places = {group.index: group for group in groups}
    for index, g, kl in (item for part in gather(found, "the reference") for item in part):
        places[index].penalties[g] += cfg.kl_coef * kl
    set_advantages(cfg, groups)
    return sum(kl for *_, kl in found)


def sample_seed(cfg: Config, step: int, index: int, g: int) -> int:
    """A seed for one sample that depends on nothing else: not on ranks, order or history."""
    return random.Random(f"sample/{cfg.seed}/{step}/{index}/{g}").getrandbits(31)


def judge_and_trace(
    sandbox: Sandbox, problem: Problem, text: str, source: str, cfg: Config
) -> tuple[str | None, Verdict, list[Question]]:
    """(program, verdict, questions) of one response. Runs in a worker thread of the pool."""
    program = extract_program(text)
    verdict = judge(sandbox, problem, program)
    questions, tests = [], problem.tests
    if cfg.align_ratio and program and verdict.status not in ("passed", "timeout"):
        inputs = tests.get("inputs") or tests.get("calls", [])
        name = name_to_trace(program, tests.get("fn_name") or tests.get("entry_point"))
        prefix = tests.get("prefix", "")
        for given in inputs[: cfg.align_inputs]:
            made = make_question(sandbox, program, given, name, cfg, prefix)
            if isinstance(made, Question):
                made.task_id, made.source = problem.task_id, source
                questions.append(made)
    return program, verdict, questions


def update(
    cfg: Config,
    step: int,
    groups: list[Group],
    policy: Policy,
    reference: Policy | None,
    optimizer: torch.optim.Optimizer,
) -> dict[str, float]:
    """`optimizer_steps` steps of AdamW on groups, those of all ranks.

    Returns this rank's sums over tokens, max_gap, and lr and grad_norm of the last optimizer step.
    The loss is a mean over the optimizer step, every rank and micro-batch of it: each token has its
    weight in that. FSDP divides gradients by the number of ranks, so losses are multiplied by it.
    """
    if cfg.algo == "dapo":
        groups = [group for group in groups if any(group.advantages)]
    parts = [groups[k :: cfg.optimizer_steps] for k in range(cfg.optimizer_steps)]
    steps = [split_batch(cfg, part, policy.device) for part in parts]
    if cfg.optimizer_steps > 1:  # with one step, the old policy is the present one
        for batch in (b for batches in steps for b in batches):
            batch.old_logp = policy.frozen(batch.pack)
    keys = ("computed", "trained", "clipped", "kl", "gap", "gap_kl", "max_gap")
    stats = dict.fromkeys(keys, 0.0)
    for k, (part, batches) in enumerate(zip(parts, steps, strict=True)):
        lengths = [len(response.token_ids) for group in part for response in group.responses]
        done = (step - 1) * cfg.optimizer_steps + k
        stats["lr"] = cfg.lr * min(1.0, (done + 1) / (cfg.warmup_steps + 1))
        optimizer.param_groups[0]["lr"] = stats["lr"]
        optimizer.zero_grad()
        for batch in batches:
            loss = batch_loss(cfg, batch, policy, reference, sum(lengths), len(lengths), stats)
            (loss * dist.get_world_size()).backward()
            if policy.device.type == "cpu":
                return_freed_memory()
        stats["grad_norm"] = clip_gradient(policy, cfg.grad_clip)
        if stats["grad_norm"]:  # where all groups are flat, Adam would go on along old gradients
            optimizer.step()
    return stats


def batch_loss(
    cfg: Config,
    batch: MicroBatch,
    policy: Policy,
    reference: Policy | None,
    tokens: int,
    sequences: int,
    stats: dict[str, float],
) -> torch.Tensor:
    """One micro-batch's part of the loss; what it shows is added to `stats`.

    tokens, sequences: how many the optimizer step has on all ranks.
    """
    logp = policy(batch.pack)  # (N,)
    old_logp = logp.detach() if batch.old_logp is None else batch.old_logp
    lengths = batch.pack.lengths
    loss, clipped = policy_loss(
        cfg.algo,
        logp,
        old_logp,
        batch.sampler_logp,
        batch.advantages,
        lengths,
        cfg.clip_low,
        cfg.clip_high,
        cfg.tis_cap,
    )
    kl = torch.zeros_like(logp)
    if reference and cfg.kl_in == "loss":
        kl = kl_estimate(logp, reference.frozen(batch.pack), cfg.kl_estimator)
        loss = loss + cfg.kl_coef * kl
    if not batch.samples:
        return 0.0 * loss.sum()
    gap = old_logp - batch.sampler_logp  # of the same weights: rounding, unless a sync was lost
    stats["computed"] += len(batch.pack.ids)
    stats["trained"] += len(logp)
    stats["clipped"] += float(clipped.sum())
    stats["kl"] += float(kl.detach().sum())
    stats["gap"] += float(gap.abs().sum())
    stats["gap_kl"] += float((gap.exp() - 1 - gap).sum())  # k3 of KL(sampler || trainer)
    stats["max_gap"] = max(stats["max_gap"], float(gap.abs().max()))
    weights = token_weights(cfg.algo, lengths, tokens, sequences, cfg.max_tokens)
    return (loss * weights.to(loss)).sum()


def clip_gradient(policy: Policy, limit: float) -> float:
    """Scale the gradient of all ranks down to the norm `limit`; returns the norm it had."""
    for weight in policy.parameters():
        if weight.grad is None:  # every group was flat
            weight.grad = torch.zeros_like(weight)
    return float(torch.nn.utils.clip_grad_norm_(policy.parameters(), limit).full_tensor())


# ------------------------------------------------------------------------------- the run
def train(cfg: Config) -> None:
    """The whole run: sample, run, reward, trace, advantage, update, sync, log, eval, save."""
    device = set_up_ranks(cfg.rank_timeout_s)
    world = dist.get_world_size()
    check_world(cfg, world)
    run = RunDir(cfg)
    directory = model_directory(cfg.model)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    problems = fitting(load_problems(cfg.problems, cfg=cfg), tokenizer, cfg)
    with Pool(cfg.sandbox_workers, **cfg.limits) as pool:
        examples = pool.submit(worked_examples, cfg).result()
        walls = pool.submit(lambda sandbox: sandbox.layers).result()
        where = f"{world} process(es) on {device.type} in {cfg.compute_dtype}"
        run.say(f"{len(problems)} problems, {where}; sandbox: {walls}")
        tasks = {t: make_items(t, cfg, pool, examples) for t in cfg.eval_tasks if cfg.eval_every}
        policy = load_policy(cfg, directory, device, cfg.offload)
        reference = load_policy(cfg, directory, device, offload=True) if cfg.kl_coef else None
        optimizer = torch.optim.AdamW(
            policy.parameters(), cfg.lr, (0.9, 0.95), weight_decay=cfg.weight_decay, fused=True
        )
        state = run.restore(policy, optimizer) if cfg.resume else State()
        run.say(f"starting the sampler, {cfg.engine} (some 10 s)")
        engine = make_engine(cfg, directory, device)
        engine.sync(named_weights(policy))

        def evaluate_if_due() -> None:
            if run.evaluation_due(state.step):
                run.log_evaluation(evaluate(cfg, engine, tokenizer, pool, tasks), state.step)

        evaluate_if_due()
        watch, stop = MemoryWatch(), False
        while state.step < cfg.steps and not stop:
            state.step += 1
            clock = Clock()
            n, n_align = cfg.prompts_per_step, round(cfg.align_ratio * cfg.prompts_per_step)
            groups = choose_batch(cfg, state, problems, examples, tokenizer, n, n_align)
            groups = rollout(cfg, state.step, groups, engine, pool, clock)
            if cfg.algo == "dapo" and cfg.code_weight:
                groups += resample_flat(
                    cfg, state, groups, problems, examples, tokenizer, engine, pool, clock
                )
            extend_buffer(cfg, state, groups, examples, tokenizer)
            watch.look("sampled")
            engine.sleep()
            watch.look("asleep")
            clock.lap("sleep")
            in_reward = reference and cfg.kl_in == "reward"
            kl = subtract_kl(cfg, groups, policy, reference) if in_reward else 0.0
            stats = update(cfg, state.step, groups, policy, reference, optimizer)
            stats["kl"] += kl
            optimizer.zero_grad()  # the sampler has better use for that memory
            clock.lap("train")
            engine.sync(named_weights(policy))
            clock.lap("sync")
            watch.look("synced")
            run.log_step(state, groups, stats, clock.laps, watch)
            stop = run.asked_to_stop(watch.advice)
            if state.step % cfg.save_every == 0 or state.step == cfg.steps or stop:
                run.save(state, policy, tokenizer, optimizer)
            evaluate_if_due()
    finish(cfg, run, state.step, stop, watch.advice)


def finish(cfg: Config, run: RunDir, step: int, stop: bool, advice: str | None) -> None:
    """Write the report and say how the run ended. Raises UserError if memory ended it early."""
    if dist.get_rank() == 0:
        print(run.before_and_after(), f"report: {write_report(cfg.run_dir)}", sep="\n")
    if stop and step < cfg.steps:
        run.say(f"stopped after step {step}; go on with: python train.py ... --resume")
    if advice and step < cfg.steps:
        raise UserError(advice)


def main() -> None:
    try:
        train(load_config(sys.argv[1:]))
    except (UserError, RunError, SandboxUnavailable) as error:
        sys.exit(f"error: {error}")
    finally:
        leave_ranks()


if __name__ == "__main__":
    main()
