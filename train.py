"""CodeRL+ (arXiv 2510.18471) in one loop: GRPO on programs, plus questions about their execution.

    python train.py configs/demo.py [--key=value ...]
    torchrun --nproc_per_node=8 train.py configs/small.py

Every step samples programs and answers, runs the programs, traces the failed ones, and takes
`optimizer_steps` policy-gradient steps on both objectives in one batch:

    J(theta) = E[ r  A_gen ]  on code:      r = 1 if all tests pass
             + E[ r' A_sem ]  on alignment: r' = share of variable values predicted right

Left out of GRPO: a critic, a reward model, and the KL term unless kl_coef is set. Left out here:
sharding (every rank holds the whole model), and algorithms other than GRPO.
"""

import random
import sys
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from transformers import AutoTokenizer, PreTrainedModel

from config import Config, UserError, check_world, load_config
from data import Problem, chat_ids, code_text, data_order, fitting, load_problems
from eval import evaluate
from policy import MicroBatch, load_policy, named_weights, split_batch
from ranks import all_reduce, gather, leave_ranks, return_freed_memory, set_up_ranks
from reward import (
    Question,
    extract_program,
    judge,
    make_question,
    question_messages,
    question_text,
    score_answer,
    worked_examples,
)
from rollout import Request, Response, make_engine, model_directory
from sandbox import Pool, Sandbox, SandboxUnavailable
from tools.report import write_report
from tools.rundir import RunDir, State, sample_row


@dataclass
class Group:
    """One prompt and its G samples."""

    index: int  # place in the step's batch, counted over all ranks
    prompt: str  # the user turn, to show
    prompt_ids: list[int]
    problem: Problem | None = None  # a code group has a problem,
    question: Question | None = None  # an alignment group a question
    responses: list[Response] = field(default_factory=list)  # G of each of these
    programs: list[str | None] = field(default_factory=list)
    outcomes: list = field(default_factory=list)  # Verdict or Score
    rewards: list[float] = field(default_factory=list)
    advantages: list[float] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)  # what the failed programs gave

    @property
    def objective(self) -> str:
        return "align" if self.question else "code"


class Clock:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self.last = now - self.last, now


# ------------------------------------------------------------------------------- the maths
def group_advantages(rewards: torch.Tensor) -> torch.Tensor:
    """(r - mean) / std within one group: GRPO, arXiv 2402.03300, section 4.1.2. (G,) -> (G,).

    A flat group teaches nothing: exactly zero, where rounding would divide noise by noise.
    """
    if bool((rewards == rewards[0]).all()):
        return torch.zeros_like(rewards)
    return (rewards - rewards.mean()) / (rewards.std() + 1e-6)


def policy_loss(
    logp: torch.Tensor,
    old_logp: torch.Tensor,
    sampler_logp: torch.Tensor,
    advantages: torch.Tensor,
    clip_low: float,
    clip_high: float,
    tis_cap: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Clipped policy-gradient loss of each token: PPO, arXiv 1707.06347, eq. 7. All (T,) fp32.

    The ratio pi / pi_old is clipped to [1 - clip_low, 1 + clip_high]. The factor
    min(pi_old / mu, tis_cap), without gradient, corrects for a sampler mu that rounds otherwise
    than the trainer (truncated importance sampling); tis_cap 0 leaves it out.
    Returns the loss (T,) and where the clip holds the gradient back (T,), 0 or 1.
    """
    ratio = (logp - old_logp).exp()
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    loss = -torch.minimum(ratio * advantages, clipped * advantages)
    if tis_cap:
        loss = loss * (old_logp - sampler_logp).exp().clamp(max=tis_cap).detach()
    return loss, (clipped * advantages < ratio * advantages).float()


def k3(logp: torch.Tensor, ref_logp: torch.Tensor) -> torch.Tensor:
    """Schulman's k3 estimate of KL(policy || reference), joschu.net/blog/kl-approx. (T,) each."""
    return (ref_logp - logp).exp() - (ref_logp - logp) - 1


# ------------------------------------------------------------------------------- one step
def choose_batch(
    cfg: Config, state: State, problems: list[Problem], examples: list[Question], tokenizer
) -> list[Group]:
    """The step's prompts, the same on every rank: alignment as far as the buffer goes, else code.

    Questions about variables go before those about a program's output alone, and among either the
    newest. Those asked leave the buffer, so none comes twice.
    """
    rng = random.Random(f"batch/{cfg.seed}/{state.step}")
    n_align = min(round(cfg.align_ratio * cfg.prompts_per_step), len(state.buffer))
    rank = [(len(q.target) > 1, q.source_step, rng.random()) for q in state.buffer]
    best_last = sorted(range(len(rank)), key=rank.__getitem__)
    chosen = set(best_last[len(rank) - n_align :])
    questions = [state.buffer[i] for i in sorted(chosen)]
    state.buffer = [q for i, q in enumerate(state.buffer) if i not in chosen]
    n_code = cfg.prompts_per_step - n_align
    order = data_order(len(problems), state.position, n_code, cfg.seed)
    state.position += n_code
    groups = []
    for problem in (problems[i] for i in order):
        text = code_text(problem, cfg)
        ids = chat_ids(tokenizer, [{"role": "user", "content": text}])
        groups.append(Group(0, text, ids, problem=problem))
    for question in questions:
        ids = chat_ids(tokenizer, question_messages(question, examples, cfg))
        groups.append(Group(0, question_text(question, cfg), ids, question=question))
    rng.shuffle(groups)  # so that each optimizer step and each rank gets some of both
    for index, group in enumerate(groups):
        group.index = index
    return groups


def sample_and_judge(
    cfg: Config, step: int, groups: list[Group], engine, pool: Pool, clock: Clock
) -> None:
    """Fill the groups with responses, rewards and advantages.

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
            outcome = score_answer(response.text, group.question, cfg.format_bonus)
            group.rewards.append(outcome.reward)
        group.responses.append(response)
        group.programs.append(program)
        group.outcomes.append(outcome)
    for group in groups:
        group.advantages = group_advantages(torch.tensor(group.rewards)).tolist()
    clock.lap("judge")


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


def extend_buffer(
    cfg: Config, state: State, groups: list[Group], examples: list[Question], tokenizer
) -> None:
    """Add what failed on every rank in the order of samples: none twice, the oldest forgotten."""
    new = []
    for question in (q for group in groups for q in group.questions):
        messages = question_messages(question, examples, cfg)
        if len(chat_ids(tokenizer, messages)) <= cfg.max_prompt_tokens:
            new.append(question)
    new = [q for part in gather(new) for q in part]
    new.sort(key=lambda q: [int(part) for part in q.source.split("/")])
    known = {(q.program, q.call) for q in state.buffer}
    for question in new:
        if (question.program, question.call) not in known:
            known.add((question.program, question.call))
            state.buffer.append(question)
    del state.buffer[: -cfg.buffer_size]


def update(
    cfg: Config,
    groups: list[Group],
    model: PreTrainedModel,
    reference: PreTrainedModel | None,
    optimizer: torch.optim.Optimizer,
    warmup: torch.optim.lr_scheduler.LRScheduler,
) -> dict[str, float]:
    """`optimizer_steps` steps of AdamW on the groups of all ranks. Returns this rank's statistics.

    The loss is the mean over all tokens of the optimizer step, over every rank and micro-batch:
    each pass is divided by that count, and gradients are summed, never averaged, over ranks.
    """
    parts = [groups[k :: cfg.optimizer_steps] for k in range(cfg.optimizer_steps)]
    steps = [split_batch(cfg, part, model.device) for part in parts]
    if cfg.optimizer_steps > 1:  # with one step, the old policy is the present one
        with torch.no_grad():
            for batch in (b for batches in steps for b in batches):
                batch.old_logp = batch.logprobs(cfg, model)
    stats = dict.fromkeys(("trained", "clipped", "kl", "gap", "gap_kl", "max_gap"), 0.0)
    for part, batches in zip(parts, steps, strict=True):
        tokens = torch.tensor(sum(len(r.token_ids) for g in part for r in g.responses))
        tokens = int(all_reduce(tokens.to(model.device)))
        optimizer.zero_grad()
        for batch in batches:
            backward(cfg, batch, model, reference, tokens, stats)
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
    tokens: int,
    stats: dict[str, float],
) -> None:
    """Add the gradient of one micro-batch, and what it shows to `stats`."""
    logp = batch.logprobs(cfg, model)  # (T,)
    old_logp = logp.detach() if batch.old_logp is None else batch.old_logp
    loss, clipped = policy_loss(
        logp,
        old_logp,
        batch.sampler_logp,
        batch.advantages,
        cfg.clip_low,
        cfg.clip_high,
        cfg.tis_cap,
    )
    if reference:
        with torch.no_grad():
            ref_logp = batch.logprobs(cfg, reference)
        kl = k3(logp, ref_logp)
        loss = loss + cfg.kl_coef * kl
        stats["kl"] += float(kl.detach().sum())
    (loss.sum() / tokens).backward()
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
            extend_buffer(cfg, state, mine, examples, tokenizer)
            engine.sleep()
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
