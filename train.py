"""CodeRL+ (arXiv 2510.18471) in one loop: GRPO on programs, plus questions about their execution.

    python train.py configs/demo.py [--key=value ...]
    torchrun --nproc_per_node=8 train.py configs/small.py

Every step samples programs and answers about programs, splits both into `optimizer_steps` parts and
takes a policy-gradient step on each. With rho = pi / pi_old of a token, it maximises

    J(theta) = E[ rho A_gen ]  on code:      reward 1 if the program passes all its tests, else 0
             + E[ rho A_sem ]  on alignment: reward = share of the values of variables that are
                                             right, and a little for an answer of the right form

as one mean over the tokens of both. A compares the reward with the group, the G samples of one
prompt; rho is clipped. Left out of PPO: critic, GAE, reward model, entropy bonus, and the KL unless
kl_coef is set. Random numbers come from seed, step and place, so a resumed run draws the same.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from config import Config, UserError, check_choice, load_config, print_help

if __name__ == "__main__" and {"--help", "-h"} & set(sys.argv):
    print_help()  # before torch is imported, which takes seconds

import torch
import torch.distributed as dist
from torch import Tensor

import reward
from eval import evaluate, make_tasks
from policy import MicroBatch, Policy, named_weights, split_batch
from problems.failures import askable
from problems.load import fitting, load_problems
from problems.problem import Problem, Question, chat_ids, code_messages, question_messages, served
from reward import Score, Verdict
from rollout import Group, Response, Sample, make_engine, rollout
from run import RunDir, Stopwatch, leave_ranks, return_freed_memory, set_up_ranks
from sandbox import Pool, Sandbox, SandboxUnavailable
from startup import start
from startup.model import load_policy, load_tokenizer, make_optimizer

BUFFER_SIZE = 20_000  # questions kept: the newest
RESAMPLE_ROUNDS = 3  # how often DAPO replaces flat groups by others
Task = Problem | Question


# ------------------------------------------------------------------------------- the run
def train(cfg: Config) -> None:
    """The whole run: sample, run, reward, trace, advantage, update, sync, log, save, eval."""
    check_choice(cfg, "algo", ALGORITHMS)
    check_choice(cfg, "reward", reward.REWARDS)
    device, world = set_up_ranks(), dist.get_world_size()
    start.check_world(cfg, world)
    model_dir = start.check_start(cfg, device, compares=bool(ALGORITHMS[cfg.algo].advantage))
    tokenizer = load_tokenizer(model_dir)
    run = RunDir(cfg)
    with Pool(cfg.sandbox_workers, **cfg.limits) as pool:
        layers = pool.submit(start.check_sandbox).result()
        problems = fitting(load_problems(cfg.problems, "train", cfg, pool), tokenizer, cfg)
        examples = pool.submit(start.worked_examples, cfg).result()
        start.check_examples(cfg, tokenizer, examples)
        where = f"{world} process(es) on {device.type} in {cfg.compute_dtype}"
        run.check_same_problems(problems)
        run.say(f"{len(problems)} problems, {where}; sandbox: {layers}")
        tasks = make_tasks(cfg, pool, examples) if cfg.eval_every else {}
        policy = load_policy(cfg, model_dir, device, cfg.states, run.say)
        reference = load_policy(cfg, model_dir, device, states="cpu") if cfg.kl_coef else None
        optimizer = make_optimizer(cfg, policy)
        prompts = Prompts(cfg, problems, tokenizer, examples)
        step = prompts.restore(run.restore(policy, optimizer)) if cfg.resume else 0
        run.say(f"starting the sampler, {cfg.engine} (10 s; a minute or more on a GPU)")
        engine = make_engine(cfg, model_dir, device)
        engine.sync(named_weights(policy, cfg.compute_dtype))

        def evaluate_now() -> bool:  # whether it was asked to stop meanwhile
            run.log_evaluation(evaluate(cfg, engine, tokenizer, pool, tasks), step)
            return run.asked_to_stop()

        stop = run.asked_to_stop() or (run.evaluation_due(step) and evaluate_now())
        while step < cfg.steps and not stop:
            step += 1
            clock = Stopwatch()
            # Ask: problems in data order, and questions about programs that failed before.
            groups = prompts.take(step, cfg.prompts_per_step, shares(cfg))
            # Sample G answers a prompt; run programs, trace those that fail, reward all answers.
            groups = rollout(cfg, step, groups, engine, pool, score_sample, ask_about, clock)
            # A sample's advantage says how much better than the rest of its group it did.
            set_advantages(cfg, groups)
            if cfg.algo == "dapo":
                groups += resample_flat(cfg, step, groups, prompts, engine, pool, clock)
            # What failed is asked about in later steps: this ties the two objectives together.
            prompts.add_questions(groups)
            engine.sleep()
            clock.lap("sleep")
            # Clipped policy gradient on programs and answers alike, in one batch.
            stats = update(cfg, step, groups, policy, reference, optimizer)
            optimizer.zero_grad()  # the sampler has better use for that memory
            return_freed_memory()
            clock.lap("train")
            # On-policy: the next step samples from the weights of this one.
            engine.sync(named_weights(policy, cfg.compute_dtype))
            clock.lap("sync")
            run.log_step(step, groups, prompts.waiting(), stats, clock.laps)
            stop, due = run.asked_to_stop(), run.evaluation_due(step)
            if step % cfg.save_every == 0 or step == cfg.steps or stop or due:
                run.save({"step": step} | prompts.state(), policy, tokenizer, optimizer)
            if due and not stop:
                stop = evaluate_now()
    run.finish(step)


# ------------------------------------------------------------------------------- objectives
class Objective(NamedTuple):
    """One thing that the policy is trained on. A new objective is one more row of OBJECTIVES."""

    messages: Callable[[Task, Config, list[Question]], list[dict]]  # the chat that is sampled
    score: Callable[[Sandbox, Task, Response, Config], Verdict | Score]
    # An objective that asks about failed programs also has:
    ask: Callable[[Sandbox, Problem, Verdict, Config], list[Question]] | None = None
    share: Callable[[Config], float] | None = None  # of a step's prompts; problems take the rest


OBJECTIVES = {
    "code": Objective(code_messages, reward.score_program),
    # Execution semantics alignment: the values of the variables of a program that failed.
    "align": Objective(question_messages, reward.score_values, reward.ask, lambda c: c.align_ratio),
}


def shares(cfg: Config) -> dict[str, float]:
    """Objective that asks questions -> its share of a step's prompts."""
    return {name: o.share(cfg) for name, o in OBJECTIVES.items() if o.ask}


# ------------------------------------------------------------------------------- what is asked
class Prompts:
    """What the model is asked: problems in data order, and questions about failed programs.

    The buffer holds the questions that failed programs gave; those asked leave it. Left out: a
    curriculum, and any choice by difficulty.
    """

    def __init__(self, cfg: Config, problems: list, tokenizer, examples: list[Question]) -> None:
        self.cfg, self.problems, self.tokenizer = cfg, problems, tokenizer
        self.examples = examples  # worked ones, shown before a question
        self.position = 0  # problems served so far: the place in the data order
        self.buffer: list[Question] = []  # oldest first
        self.asked: list[str] = []  # keys of the questions that have left the buffer
        self.too_long: list[Question] = []  # those that this step left out for their length

    def state(self) -> dict:
        """For a checkpoint: all that the next take() depends on."""
        rows = [question.row() for question in self.buffer]
        return {"position": self.position, "buffer": rows, "asked": self.asked}

    def restore(self, state: dict) -> int:
        """Take over a checkpoint's state; returns its step."""
        self.position, self.asked = state["position"], state["asked"]
        self.buffer = [Question.from_row(row) for row in state["buffer"]]
        return state["step"]

    def waiting(self) -> dict[str, dict[str, int]]:
        """Objective -> how many of its questions wait, and how many of this step were too long."""
        parts = {"buffer": self.buffer, "too_long": self.too_long}
        counts = {key: Counter(q.objective for q in part) for key, part in parts.items()}
        return {n: {key: counts[key][n] for key in counts} for n in shares(self.cfg)}

    def take(self, step: int, n: int, share: dict[str, float], first: int = 0) -> list[Group]:
        """`n` prompts, the same on every rank. Each objective that asks questions gets its share of
        them, or fewer if the buffer is short; problems fill up. Indices begin at `first`."""
        rng = random.Random(f"batch/{self.cfg.seed}/{step}")
        ties = {id(question): rng.random() for question in self.buffer}
        each = (self._newest(name, round(s * n), ties) for name, s in share.items())
        questions = [question for part in each for question in part][:n]
        taken = set(map(id, questions))
        self.buffer = [question for question in self.buffer if id(question) not in taken]
        self.asked += [question.key for question in questions]
        count = n - len(questions)
        order = served(self.problems, self.position, count, self.cfg.seed)
        self.position += count
        groups = [self._group("code", self.problems[i]) for i in order]
        groups += [self._group(question.objective, question) for question in questions]
        rng.shuffle(groups)  # mixes both objectives over optimizer steps and ranks
        for index, group in enumerate(groups, start=first):
            group.index = index
        return groups

    def _newest(self, objective: str, count: int, ties: dict[int, float]) -> list[Question]:
        """Up to `count` questions in buffer order: first the newest one of each problem, then the
        others, newest first; ties at random."""
        mine = [question for question in self.buffer if question.objective == objective]
        mine.sort(key=lambda q: (q.source_step, ties[id(q)]), reverse=True)
        newest = {q.task_id: id(q) for q in reversed(mine)}  # of each problem
        mine.sort(key=lambda q: newest[q.task_id] != id(q))  # a stable sort: those come first
        chosen = set(map(id, mine[:count]))
        return [question for question in self.buffer if id(question) in chosen]

    def _group(self, objective: str, task: Task) -> Group:
        chat = OBJECTIVES[objective].messages(task, self.cfg, self.examples)
        ids, prefill = chat_ids(self.tokenizer, chat, self.cfg)
        return Group(0, objective, task, chat[-1]["content"], ids, prefill=prefill)

    def add_questions(self, groups: list[Group]) -> None:
        """Add the questions about failed programs, in the order of samples: none that is known,
        none whose prompt is too long, and of too many the newest."""
        known = {question.key for question in self.buffer} | set(self.asked)
        self.too_long = []
        for question, ids in askable(groups, lambda q: self._group(q.objective, q).prompt_ids):
            if question.key not in known:
                known.add(question.key)
                long = len(ids) > self.cfg.max_prompt_tokens
                (self.too_long if long else self.buffer).append(question)
        del self.buffer[:-BUFFER_SIZE]


# ------------------------------------------------------------------------------- one step
def score_sample(box: Sandbox, group: Group, response: Response, _: str, cfg: Config) -> Sample:
    """Reward one answer, in a thread of the pool. _, its "step/group/sample", is for forks."""
    sample = Sample(response, OBJECTIVES[group.objective].score(box, group.task, response, cfg))
    if cfg.algo == "dapo":
        sample.penalty = reward.long_penalty(len(response.token_ids), cfg.max_tokens)
    return sample


def ask_about(sandbox: Sandbox, group: Group, sample: Sample, source: str, cfg: Config) -> None:
    """Let each objective trace a program that failed and ask about it, when all are scored."""
    asking = shares(cfg) if group.objective == "code" else {}
    for name in (name for name, share in asking.items() if share):
        for question in OBJECTIVES[name].ask(sandbox, group.task, sample.outcome, cfg):
            question.objective, question.source, question.task_id = name, source, group.task.task_id
            sample.questions.append(question)


def resample_flat(
    cfg: Config, step: int, groups: list, prompts: Prompts, engine, pool: Pool, clock: Stopwatch
) -> list[Group]:
    """DAPO's dynamic sampling: for each flat group another prompt, of its objective if there is a
    question left, up to RESAMPLE_ROUNDS times. Flat groups stay for the log, not for update()."""
    latest, made = groups, []
    for _ in range(RESAMPLE_ROUNDS):
        if not (flat := [group.objective for group in latest if not group.teaches]):
            break
        share = {name: flat.count(name) / len(flat) for name in shares(cfg)}
        fresh = prompts.take(step, len(flat), share, first=len(groups) + len(made))
        latest = rollout(cfg, step, fresh, engine, pool, score_sample, ask_about, clock)
        set_advantages(cfg, latest)
        made += latest
    return made


# ------------------------------------------------------------------------------- advantages
def standardised(rewards: Tensor) -> Tensor:
    return centred(rewards) / (rewards.std() + 1e-6)


def centred(rewards: Tensor) -> Tensor:
    return rewards - rewards.mean()


def leave_one_out(rewards: Tensor) -> Tensor:
    return centred(rewards) * len(rewards) / (len(rewards) - 1)  # r - the mean of the others


class Algorithm(NamedTuple):
    advantage: Callable | None  # rewards (G,) of a group -> advantages (G,); None: see whiten()
    ratio: str  # "token"; "sequence": exp(mean log ratio); "weight": capped, a factor of log pi
    clip: tuple[float, float]  # (low, high), see policy_loss(); cfg.clip wins
    mean: str  # of the losses of tokens, see token_weights()


# The sources say how advantage and ratio are made. grpo takes DAPO's token-mean, as CodeRL+ does.
ALGORITHMS = {
    "grpo": Algorithm(standardised, "token", (0.2, 0.2), "token-mean"),  # arXiv 2402.03300, 4.1.2
    "dr_grpo": Algorithm(centred, "token", (0.2, 0.2), "max-tokens"),  # 2503.20783, eq. 4
    "dapo": Algorithm(standardised, "token", (0.2, 0.28), "token-mean"),  # 2503.14476
    "rloo": Algorithm(leave_one_out, "token", (0.2, 0.2), "token-mean"),  # 2402.14740, eq. 5
    "reinforce++": Algorithm(None, "token", (0.2, 0.2), "token-mean"),  # 2501.03262, eq. 5
    "gspo": Algorithm(standardised, "sequence", (3e-4, 4e-4), "sequence-mean"),  # 2507.18071, eq. 7
    "cispo": Algorithm(standardised, "weight", (1.0, 4.0), "token-mean"),  # 2506.13585, eq. 4
}


def set_advantages(cfg: Config, groups: list[Group]) -> None:
    """Advantages of all samples from their rewards. groups: those of all ranks.

    A group's advantages are exactly zero if it is flat, where rounding would divide noise by noise.
    The rewards alone decide whether it is flat, penalties do not: 2503.14476, eq. 11.
    """
    compare = ALGORITHMS[cfg.algo].advantage
    if not compare:
        return whiten([sample for group in groups for sample in group.judged])
    for group in groups:
        rewards = torch.tensor([sample.reward + sample.penalty for sample in group.judged])
        advantages = torch.zeros_like(rewards) if group.flat else compare(rewards)
        for sample, advantage in zip(group.judged, advantages.tolist(), strict=True):
            sample.advantage = advantage


def whiten(samples: list[Sample]) -> None:
    """REINFORCE++: a reward's advantage is over the rewards of all tokens, not of the group."""
    lengths = torch.tensor([len(s.response.token_ids) for s in samples], dtype=torch.long)
    rewards = torch.tensor([s.reward + s.penalty for s in samples], dtype=torch.float64)
    each = rewards.repeat_interleave(lengths)  # (tokens of all samples,)
    mean, std = float(each.mean()), float(each.var() + 1e-8) ** 0.5
    for sample, value in zip(samples, rewards.tolist(), strict=True):
        sample.advantage = (value - mean) / std


# ------------------------------------------------------------------------------- losses
def policy_loss(
    algo: str, logp: Tensor, old_logp: Tensor, sampler_logp: Tensor, advantages: Tensor,
    lengths: list[int], clip: tuple = (), tis_cap: float = 0.0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Loss of each token (N,) and where the clip is active (N,), 0 or 1.

    logp, old_logp, sampler_logp, advantages: (N,) fp32, one answer after the other; lengths: tokens
    of each answer, N in all. PPO (arXiv 1707.06347, eq. 7) maximises

        min(rho A, clip(rho, 1 - low, 1 + high) A),   rho = pi / pi_old = exp(logp - old_logp)

    gspo has one ratio a sequence. cispo maximises min(rho, 1 + high) A log pi, the first factor
    without gradient, so that every token teaches.

    The factor min(pi_old / mu, tis_cap), without gradient, corrects for a sampler mu whose numbers
    differ from the trainer's by rounding (truncated importance sampling).
    """
    row, log_ratio = ALGORITHMS[algo], logp - old_logp
    low, high = clip or row.clip
    if row.ratio == "sequence":
        sequences = log_ratio.split(lengths)
        log_ratio = torch.cat([part.mean().expand(len(part)) for part in sequences])
    ratio = log_ratio.exp()
    if row.ratio == "weight":
        clipped = ratio > 1 + high
        loss = -ratio.clamp(max=1 + high).detach() * advantages * logp
    else:
        gain, capped = ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages
        clipped = capped < gain
        loss = -torch.minimum(gain, capped)
    if tis_cap:
        loss = loss * (old_logp - sampler_logp).exp().clamp(max=tis_cap).detach()
    return loss, clipped.float()


def token_weights(
    algo: str, lengths: list[int], tokens: int, sequences: int, max_tokens: int
) -> Tensor:
    """Weight of each token's loss, (N,) fp32: its sum over micro-batches and ranks is the mean.

    lengths: tokens of each answer of this micro-batch, N in all; tokens, sequences: of the whole
    optimizer step on all ranks.
    """
    each = torch.tensor(lengths)
    weight = {
        "token-mean": torch.full((len(each),), 1 / tokens),
        "sequence-mean": 1 / (sequences * each.float()),  # each sequence counts the same
        "max-tokens": torch.full((len(each),), 1 / (sequences * max_tokens)),  # a constant
    }
    return weight[ALGORITHMS[algo].mean].repeat_interleave(each)


def kl_estimate(logp: Tensor, ref_logp: Tensor) -> Tensor:
    """Schulman's k3 estimate of KL(policy || reference), joschu.net/blog/kl-approx. (N,) each."""
    return (gap := ref_logp - logp).exp() - gap - 1


# ------------------------------------------------------------------------------- the update
def update(
    cfg: Config, step: int, groups: list[Group], policy: Policy, reference: Policy | None,
    optimizer: torch.optim.Optimizer,
) -> dict[str, float]:  # fmt: skip
    """`optimizer_steps` steps of AdamW on groups, those of all ranks.

    Returns this rank's statistics, sums but for one maximum, and lr and grad_norm of the last step.
    The mean of the loss is over the optimizer step on all ranks, not over a micro-batch. FSDP
    divides gradients by the number of ranks, so losses are multiplied by it.
    """
    if cfg.algo == "dapo":
        taught = [group for group in groups if group.teaches]
        groups = taught or ([] if cfg.kl_coef else groups[:1])  # one, to measure the mismatch
    parts = [groups[k :: cfg.optimizer_steps] for k in range(cfg.optimizer_steps)]
    steps = [split_batch(cfg, part, policy.layout, policy.device) for part in parts]
    if cfg.optimizer_steps > 1:  # with one step pi_old = pi: rho is 1
        for batch in (b for batches in steps for b in batches):
            batch.old_logp = policy.no_grad_logp(batch.pack)  # before any of these steps
    keys = "computed trained clipped kl mismatch mismatch_kl max_mismatch skipped"
    stats = Counter(dict.fromkeys(keys.split(), 0.0))
    for k, (part, batches) in enumerate(zip(parts, steps, strict=True)):
        lengths = [len(sample.response.token_ids) for group in part for sample in group.samples]
        done = (step - 1) * cfg.optimizer_steps + k
        stats["lr"] = cfg.lr * min(1.0, (done + 1) / (cfg.warmup_steps + 1))
        optimizer.param_groups[0]["lr"] = stats["lr"]
        optimizer.zero_grad()
        for batch in batches:
            policy.next_micro_batch(last=batch is batches[-1])
            loss = batch_loss(cfg, batch, policy, reference, sum(lengths), len(lengths), stats)
            (loss * dist.get_world_size()).backward()
            batch.pack = None  # its masks may take more memory than all else
            return_freed_memory()
        stats["grad_norm"] = policy.clip_gradient(cfg.grad_clip)
        stats["skipped"] += stats["grad_norm"] is None  # not finite: it would make all weights NaN
        if stats["grad_norm"]:  # were all groups flat, Adam would still follow its old momentum
            optimizer.step()
    return stats


def batch_loss(
    cfg: Config, batch: MicroBatch, policy: Policy, reference: Policy | None, tokens: int,
    sequences: int, stats: Counter,
) -> Tensor:  # fmt: skip
    """One micro-batch's part of the loss; its statistics are added to `stats`.

    tokens, sequences: how many the optimizer step has on all ranks.
    """
    logp = policy(batch.pack)  # (N,)
    old_logp = logp.detach() if batch.old_logp is None else batch.old_logp
    known = batch.sampler_logp.isfinite()  # vLLM gives NaN at times; each counts as 1 nat off
    mu, lengths = torch.where(known, batch.sampler_logp, old_logp), batch.pack.lengths
    loss, clipped = policy_loss(
        cfg.algo, logp, old_logp, mu, batch.advantages, lengths, cfg.clip, cfg.tis_cap
    )
    kl = kl_estimate(logp, reference.no_grad_logp(batch.pack)) if reference else 0 * logp.detach()
    loss = loss + cfg.kl_coef * kl
    if not batch.samples:  # FSDP needs as many passes of this rank as of the others
        return 0.0 * loss.sum()
    mismatch = torch.where(known, (old_logp - mu).abs(), 1.0)  # rounding, unless a sync was lost
    sums = {"clipped": clipped, "kl": kl, "mismatch": mismatch}
    sums |= {"mismatch_kl": kl_estimate(mu, old_logp)}  # KL(sampler || trainer)
    stats.update({name: float(value.detach().sum()) for name, value in sums.items()})  # adds
    stats.update(computed=batch.pack.ids.numel(), trained=len(logp))
    stats["max_mismatch"] = max(stats["max_mismatch"], float(mismatch.max()))
    weights = token_weights(cfg.algo, lengths, tokens, sequences, cfg.max_tokens)
    return (loss * weights.to(loss)).sum()


def main() -> None:
    try:
        train(load_config(sys.argv[1:]))
    except (UserError, SandboxUnavailable) as error:
        sys.exit(f"error: {error}")
    finally:
        leave_ranks()


if __name__ == "__main__":
    main()
