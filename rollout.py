"""A rollout: Groups of Samples, each drawn by vLLM or plain transformers, and judged as it ends.

    engine.sample(requests, on_finish) -> responses     engine.sync(named_weights)

Each request is one sample with a seed of its own: under one engine seed all ranks would write the
same texts. A response is handed to `on_finish` the moment it ends, so its program is judged while
the others still decode; with n > 1 in one request vLLM would hold it back until all n are done.

Left out: top-p, top-k and penalties. They change the distribution that is sampled, and the
trainer would have to repeat each of them to know the probability of what it is taught.
"""

import os
import random
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.distributed as dist

from config import Config, UserError, whole_text
from problems.failures import given_up, guarded
from problems.problem import Problem, Question
from run import Stopwatch, gather
from sandbox import Pool
from startup.files import check_names, expected_names
from startup.model import fix_rope, load_sampler, load_tokenizer

WeightStream = Iterable[tuple[str, torch.Tensor]]


@dataclass(frozen=True)
class Request:
    """One sample to draw. temperature 0 is greedy."""

    prompt_ids: list[int]
    seed: int
    max_tokens: int
    temperature: float
    stop: tuple[str, ...] = ()


@dataclass
class Response:
    """One drawn sample: `logprobs[t]` is log p(token_ids[t] | before) at the sampling temperature.

    An EOS that was sampled is the last token. A response cut at max_tokens has finished=False and
    no EOS: the trainer must not be taught a stop that the model never chose.
    """

    token_ids: list[int]
    logprobs: list[float]
    text: str
    finished: bool


@dataclass
class Sample:
    """One answer to a prompt, and what became of it."""

    response: Response
    outcome: object  # a Verdict or Score of reward.py, or a JudgeError: .status and .reward
    penalty: float = 0.0  # added to the reward before answers are compared; at most 0
    advantage: float = 0.0
    questions: list[Question] = field(default_factory=list)  # about the program, if it failed

    @property
    def reward(self) -> float:
        return self.outcome.reward


@dataclass
class Group:
    """One prompt and its G samples."""

    index: int  # place in the step's batch, counted over all ranks
    objective: str  # a name in OBJECTIVES of train.py
    task: Problem | Question
    prompt: str  # the user turn, to show
    prompt_ids: list[int]
    samples: list[Sample] = field(default_factory=list)
    prefill: str = ""  # of the answer, by the chat template: "<think>" or nothing

    @property
    def judged(self) -> list[Sample]:
        """Without judge errors, which are ours: neither right nor wrong. "unjudged" earns 0."""
        return [sample for sample in self.samples if sample.outcome.status != "judge_error"]

    @property
    def flat(self) -> bool:
        """All samples earn the same, so none is better than another."""
        return len({sample.reward for sample in self.judged}) <= 1

    @property
    def teaches(self) -> bool:
        """Some advantage is not zero."""
        return any(sample.advantage for sample in self.samples)


def rollout(
    cfg: Config, step: int, groups: list[Group], engine, pool: Pool, score: Callable,
    ask: Callable, clock: Stopwatch,
) -> list[Group]:  # fmt: skip
    """Sample and score the groups, which it returns: each sampler its share, and all get the whole.

    score(sandbox, group, response, source, cfg) -> Sample runs in a thread of the pool, while other
    answers are still sampled; the lap "judge" is what that leaves over. ask(sandbox, group, sample,
    source, cfg) runs when all are scored, for no program shall see what the one before it led to.
    source is "step/group/sample", to find a program again.
    """
    samplers = dist.get_world_size() // cfg.rollout_tp
    lead = dist.get_rank() % cfg.rollout_tp == 0  # the others of a sampler have the same answers
    mine = [g for g in groups if g.index % samplers == dist.get_rank() // cfg.rollout_tp]
    places = [(g, k, f"{step}/{g.index}/{k}") for g in mine for k in range(cfg.samples_per_prompt)]
    requests = []
    for group, _, source in places:  # a seed hangs on nothing else: not on ranks, order or history
        seed = random.Random(f"sample/{cfg.seed}/{source}").getrandbits(31)
        limits = (cfg.max_tokens, cfg.temperature, cfg.stop)
        requests.append(Request(group.prompt_ids, seed, *limits))
    scored = {}

    def on_finish(i: int, response: Response) -> None:
        (group, _, source), failed = places[i], partial(Sample, response)
        response.text = group.prefill + response.text
        scored[i] = pool.submit(guarded, source, score, failed, group, response, source, cfg)

    engine.sample(requests, on_finish if lead else None)
    clock.lap("sample")
    jobs = []
    for i, (group, _, source) in enumerate(places if lead else ()):
        group.samples.append(sample := scored[i].result())
        jobs.append((source, ask, partial(given_up, sample), group, sample, source, cfg))
    for future in [pool.submit(guarded, *job) for job in jobs]:
        future.result()
    # Samples alone: every rank has the problems, whose tests may be many megabytes.
    parts = gather({group.index: group.samples for group in mine if lead}, "sampling")
    samples = {index: part[index] for part in parts for index in part}
    for group in groups:
        group.samples = samples[group.index]
    clock.lap("judge")
    return groups


# ------------------------------------------------------------------------------- engines
OnFinish = Callable[[int, Response], None]


def make_engine(cfg: Config, directory: str, device: torch.device) -> "VllmEngine | HfEngine":
    """The sampler that cfg.engine names. Raises UserError when vLLM is asked for and not there."""
    gather(None, "loading the model")  # vLLM would wait ten minutes for a slow rank, and fail
    if cfg.engine == "hf":
        return HfEngine(cfg, directory, device)
    # vLLM reads these when it is imported; without nobind the trainer is left with one thread.
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")
    if device.type == "cpu":
        torch.cpu._init_amx()  # Linux kills who uses AMX unasked, as vLLM does; nothing elsewhere
    try:
        return VllmEngine(cfg, directory, device)
    except ImportError as error:
        how = "install it with `make install`, or use --engine=hf"
        raise UserError(f"no sampler: vLLM cannot be imported ({error}); {how}") from error
    except Exception as error:  # each model that it does not know fails in its own way
        why = f"{type(error).__name__}: {whole_text(error)}"
        how = "if memory is short, change --gpu_memory or --kv_cache_gb; else take --engine=hf"
        raise UserError(f"vLLM does not start with this model ({why}); {how}") from error


class VllmEngine:
    """vLLM in this process: one engine per `rollout_tp` ranks, which all ask it for the same."""

    def __init__(self, cfg: Config, directory: str, device: torch.device) -> None:
        from vllm import LLM

        self.names, self.on_gpu = expected_names(directory), device.type == "cuda"
        length = cfg.max_prompt_tokens + cfg.max_tokens
        on_cpu = {"kv_cache_memory_bytes": int(cfg.kv_cache_gb * 2**30), "enforce_eager": True}
        on_cpu["block_size"] = 32  # 128, the default, would cache next to nothing of a prompt
        on_gpu = {"gpu_memory_utilization": cfg.gpu_memory, "enable_sleep_mode": True}
        threads = torch.get_num_threads()
        settings = dict(
            dtype=cfg.compute_dtype,
            seed=cfg.seed,
            distributed_executor_backend="external_launcher",
            tensor_parallel_size=cfg.rollout_tp,
            logprobs_mode="processed_logprobs",  # of the distribution really sampled, T included
            max_model_len=length,
            max_num_seqs=512 if self.on_gpu else 128,
            # A seeded request whose prompt is prefilled in pieces crashes on a CPU (0.32).
            enable_chunked_prefill=self.on_gpu,
            max_num_batched_tokens=max(8192, length),
            disable_log_stats=True,
            use_tqdm_on_load=False,
            **(on_gpu if self.on_gpu else on_cpu),
        )
        try:
            self.llm = LLM(directory, **settings)
        except ValueError:  # without prefill in pieces no prefix of a hybrid model can be cached
            if self.on_gpu:
                raise
            self.llm = LLM(directory, **settings, enable_prefix_caching=False)
        torch.set_num_threads(threads)  # on GPUs the constructor leaves torch one
        self.asleep, self.calls = False, 0
        self.special = self.llm.get_tokenizer().get_added_vocab()

    def sample(self, requests: list[Request], on_finish: OnFinish | None = None) -> list[Response]:
        """One Response per request, in order; `on_finish(index, response)` as each one ends."""
        from vllm import SamplingParams

        if not requests:
            return []
        engine = self.llm.llm_engine
        responses: list[Response | None] = [None] * len(requests)
        self.calls += 1  # request names are unique for the life of the engine

        def step() -> None:
            for output in engine.step():
                if output.finished:
                    index = int(output.request_id.partition("/")[2])
                    responses[index] = _from_vllm(output.outputs[0])
                    if on_finish:
                        on_finish(index, responses[index])

        # Requests that start together all prefill what they share. So one goes ahead, for what
        # all prompts share, then one of each prompt, and the others find keys and values cached.
        first = {tuple(r.prompt_ids): i for i, r in reversed(list(enumerate(requests)))}
        ahead, each = {0}, set(first.values())
        for wave in (ahead, each - ahead, set(range(len(requests))) - each - ahead):
            for index in sorted(wave):
                r = requests[index]
                params = SamplingParams(
                    temperature=r.temperature,
                    max_tokens=r.max_tokens,
                    seed=r.seed,
                    logprobs=0,  # the sampled token's only
                    stop=list(r.stop),
                    stop_token_ids=[self.special[s] for s in r.stop if s in self.special],
                    include_stop_str_in_output=True,
                )
                prompt = {"prompt_token_ids": r.prompt_ids}
                engine.add_request(f"{self.calls}/{index}", prompt, params)
            if engine.has_unfinished_requests():
                step()
        while engine.has_unfinished_requests():
            step()
        return responses

    def sync(self, named_weights: WeightStream) -> None:
        """Replace the weights by `(hugging_face_name, full_tensor)` pairs, streamed."""
        sent: set[str] = set()

        def stream() -> WeightStream:
            for name, tensor in named_weights:
                sent.add(name)
                yield name, tensor

        self.sleep()  # the first time it is awake, and its cache has the memory that this needs
        if self.asleep:
            torch.cuda.empty_cache()
            self.llm.wake_up(["weights"])
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": stream()})
        if not self.on_gpu:
            self.llm.apply_model(_repack_tied_head)
        if self.asleep:
            self.llm.wake_up(["kv_cache"])
            self.asleep = False
        check_names(sent, self.names)
        if not self.llm.reset_prefix_cache():  # a reload leaves the old weights' keys and values
            raise RuntimeError("vLLM did not reset its prefix cache; sampling would be stale")

    def sleep(self) -> None:
        """Give the GPU memory to the trainer; the next sync wakes the engine. Nothing on a CPU."""
        if self.on_gpu and not self.asleep:
            self.llm.sleep(level=2)
            self.asleep = True


def _repack_tied_head(model: torch.nn.Module) -> None:
    """On a CPU vLLM packs a copy of each matrix when it loads it. The head that is the embedding
    is packed by itself, and a reload (0.32) forgets it: the sampler would keep the old head."""
    head = getattr(model, "lm_head", None)
    if head is not None and getattr(model.config, "tie_word_embeddings", False):
        head.weight = model.model.embed_tokens.weight
        head.quant_method.process_weights_after_loading(head)


def _from_vllm(output) -> Response:
    ids = list(output.token_ids)
    logprobs = [entry[token].logprob for token, entry in zip(ids, output.logprobs, strict=True)]
    return Response(ids, logprobs, output.text, output.finish_reason == "stop")


BATCH = 64  # requests that HfEngine decodes together


class HfEngine:
    """transformers only: slow, exact, and the reference that the tests compare vLLM with."""

    def __init__(self, cfg: Config, directory: str, device: torch.device) -> None:
        self.model = load_sampler(cfg, directory).to(device).eval()
        self.longest = cfg.max_prompt_tokens + cfg.max_tokens
        self.tokenizer = load_tokenizer(directory)
        self.special = self.tokenizer.get_added_vocab()
        self.names, self.device = expected_names(directory), device

    def sample(self, requests: list[Request], on_finish: OnFinish | None = None) -> list[Response]:
        """As VllmEngine.sample. A row takes memory until all of its batch have ended."""
        done: list[Response] = []
        for at in range(0, len(requests), BATCH):
            told = on_finish and (lambda i, response, at=at: on_finish(at + i, response))
            done += self._sample(requests[at : at + BATCH], told)
        return done

    @torch.no_grad()
    def _sample(self, requests: list[Request], on_finish: OnFinish | None) -> list[Response]:
        """Decode all of them as one left-padded batch."""
        from transformers import DynamicCache

        width = max(len(r.prompt_ids) for r in requests)
        ids = torch.zeros(len(requests), width, dtype=torch.long, device=self.device)
        mask = torch.zeros_like(ids)
        for row, r in enumerate(requests):
            ids[row, width - len(r.prompt_ids) :] = torch.tensor(r.prompt_ids)
            mask[row, width - len(r.prompt_ids) :] = 1
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        dice = [torch.Generator().manual_seed(r.seed) for r in requests]
        responses = [Response([], [], "", False) for _ in requests]
        alive, cache = set(range(len(requests))), DynamicCache(config=self.model.config)
        while alive:
            logits = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                logits_to_keep=1,
            ).logits[:, -1]  # (B, vocabulary)
            ids = torch.zeros(len(requests), 1, dtype=torch.long, device=self.device)
            for row in sorted(alive):
                ids[row, 0] = self._draw(requests[row], responses[row], logits[row], dice[row])
                full = len(responses[row].token_ids) >= requests[row].max_tokens
                if responses[row].finished or full:
                    alive.discard(row)
                    if on_finish:
                        on_finish(row, responses[row])
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
            positions = positions[:, -1:] + 1
        return responses

    def _draw(self, r: Request, response: Response, logits, generator: torch.Generator) -> int:
        """Draw a token, which it returns, and add it to the response; EOS or a stop ends that."""
        logp = torch.log_softmax(logits.float().cpu() / (r.temperature or 1.0), dim=-1)
        if r.temperature == 0:
            token = int(logp.argmax())
        else:
            token = int(torch.multinomial(logp.exp(), 1, generator=generator))
        response.token_ids.append(token)
        response.logprobs.append(float(logp[token]))
        response.text = self.tokenizer.decode(response.token_ids, skip_special_tokens=True)
        eos = self.model.generation_config.eos_token_id
        ends = [*(eos if isinstance(eos, list) else [eos]), self.tokenizer.eos_token_id]
        ends += [self.special[stop] for stop in r.stop if stop in self.special]  # not in the text
        response.finished = token in ends or any(stop in response.text for stop in r.stop)
        return token

    @torch.no_grad()
    def sync(self, named_weights: WeightStream) -> None:
        """Replace the weights by `(hugging_face_name, full_tensor)` pairs."""
        if self.model._weight_conversions:  # transformers renames or fuses some as it loads them
            whole = {name: tensor.to(self.model.dtype) for name, tensor in named_weights}
            kind, config, sent = type(self.model), self.model.config, set(whole)
            ends = self.model.generation_config
            self.model = kind.from_pretrained(None, config=config, state_dict=whole)
            self.model.generation_config = ends
            fix_rope(self.model.to(self.device).eval(), self.longest)
        else:
            own, sent = dict(self.model.named_parameters()), set()
            for name, tensor in named_weights:
                sent.add(name)
                if name in own:
                    own[name].copy_(tensor)
        check_names(sent, self.names)

    def sleep(self) -> None:
        """It keeps no cache between calls."""
