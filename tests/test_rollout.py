"""vLLM and transformers behind the same two calls, and their agreement with the trainer."""

import json
import pickle
import sys
from pathlib import Path

import pytest
import tiny
import torch
from forked import Python
from safetensors.torch import save_file

from config import Config, UserError
from policy import Pack, named_weights
from problems.problem import Problem
from rollout import (
    Group,
    Request,
    Response,
    Sample,
    VllmEngine,
    make_engine,
    rollout,
)
from run import Stopwatch
from sandbox import Pool
from startup.files import check_names, checkpoint_names, model_directory
from startup.model import load_policy


class Calls:
    """Notes which methods are called."""

    def __init__(self):
        self.names = []

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.names.append((name, *args)) or True


def test_each_sync_on_a_gpu_finds_the_sampler_asleep(monkeypatch):
    engine = object.__new__(VllmEngine)
    engine.names, engine.on_gpu, engine.asleep, engine.llm = set(), True, False, Calls()
    for _ in range(2):
        engine.llm.names.clear()
        engine.sync(iter(()))
        assert [name for name, *_ in engine.llm.names][:3] == ["sleep", "wake_up", "collective_rpc"]
        assert engine.llm.names[3] == ("wake_up", ["kv_cache"]) and not engine.asleep


CFG = {"max_prompt_tokens": 128, "max_tokens": 32, "kv_cache_gb": 0.05}
FP32 = Config(dtype="float32")
PROMPTS = [[10, 20, 30], [40, 50, 60, 70, 80, 90], [11] * 40]


def requests(temperature=1.0, n=4, stop=()):
    return [
        Request(prompt, 100 * i + g, max_tokens=24, temperature=temperature, stop=stop)
        for i, prompt in enumerate(PROMPTS)
        for g in range(n)
    ]


def gap(model, responses, n=4, temperature=1.0):
    """|log p of the trainer - log p of the sampler| of every sampled token."""
    answers = [[r.token_ids for r in responses[i * n : (i + 1) * n]] for i in range(len(PROMPTS))]
    model.temperature = temperature
    ours = model.no_grad_logp(Pack(PROMPTS, answers))
    return (ours - torch.tensor([logp for r in responses for logp in r.logprobs])).abs()


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    return str(tiny.make_directory(tmp_path_factory.mktemp("random"), attention_bias=True))


@pytest.fixture(scope="module")
def engines(one_process, random_model):
    """Both samplers on the same random fp32 model."""
    return {
        name: make_engine(Config(engine=name, dtype="float32", **CFG), random_model, one_process)
        for name in ("vllm", "hf")
    }


@pytest.fixture
def other_model(random_model):
    """The trainer's weights after an update: far from those that the samplers loaded."""
    model = load_policy(FP32, random_model, torch.device("cpu"))
    assert any("bias" in name for name, _ in model.named_parameters())
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model


@pytest.fixture(params=["vllm", "hf"])
def engine(request, engines, random_model):
    """One sampler, its weights those of the random model."""
    engines[request.param].sync(named_weights(load_policy(FP32, random_model, torch.device("cpu"))))
    return engines[request.param]


def test_weights_are_rounded_before_they_travel_and_buffers_are_not(one_process, random_model):
    policy = load_policy(FP32, random_model, torch.device("cpu"))
    policy.model.register_buffer("third", torch.tensor([1 / 3]))
    whole, sent = (dict(named_weights(policy, dtype)) for dtype in ("float32", "bfloat16"))
    assert sent.pop("third").equal(whole.pop("third"))
    assert {weight.dtype for weight in sent.values()} == {torch.bfloat16}
    assert all(weight.equal(whole[name].bfloat16()) for name, weight in sent.items())


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_logprobs_agree_after_a_sync_and_only_after_it(engine, other_model, temperature):
    stale = engine.sample(requests(temperature))
    assert gap(other_model, stale, temperature=temperature).max() > 1e-2
    engine.sync(named_weights(other_model))
    fresh = engine.sample(requests(temperature))
    assert gap(other_model, fresh, temperature=temperature).max() < 1e-4


def test_both_samplers_give_a_text_the_same_probability(engines, random_model):
    model = load_policy(FP32, random_model, torch.device("cpu"))
    for engine in engines.values():
        engine.sync(named_weights(model))
        assert gap(model, engine.sample(requests())).max() < 1e-4


def test_greedy_texts_of_both_samplers_are_the_same(engines, random_model):
    model = load_policy(FP32, random_model, torch.device("cpu"))
    texts = []
    for engine in engines.values():
        engine.sync(named_weights(model))
        texts.append([r.token_ids for r in engine.sample(requests(temperature=0.0, n=1))])
    assert texts[0] == texts[1]


# vLLM's parallel groups belong to the process, so a second engine needs a second process.
BF16 = """
import sys; sys.path[:0] = {paths!r}
import torch
from test_rollout import *
from run import set_up_ranks
device = set_up_ranks()
engine = make_engine(Config(engine="vllm", dtype="bfloat16", **CFG), {model!r}, device)
model = load_policy(Config(dtype="bfloat16"), {model!r}, device)
engine.sync(named_weights(model, "bfloat16"))
mean = float(gap(model, engine.sample(requests())).mean())
assert mean < 0.05, mean
"""


def test_bf16_sampler_stays_near_the_trainer(random_model, tmp_path):
    here, script = Path(__file__).parent, tmp_path / "bf16.py"
    script.write_text(BF16.format(paths=[str(here), str(here.parent)], model=random_model))
    Python([script], tmp_path / "log").finish()


def test_every_request_has_its_own_seed_and_one_seed_one_text(engine):
    first, again = engine.sample(requests()), engine.sample(requests())
    assert [r.token_ids for r in first] == [r.token_ids for r in again]
    assert len({tuple(r.token_ids) for r in first}) == len(first)


def test_finished_ends_with_eos_and_a_cut_response_has_none(engine, random_model):
    eos = json.loads(Path(random_model, "config.json").read_text())["eos_token_id"]
    many = [Request(PROMPTS[0], seed, 32, 1.5) for seed in range(96)]
    responses = engine.sample(many)
    assert {r.finished for r in responses} == {True, False}
    for r in responses:
        assert len(r.token_ids) == len(r.logprobs)
        assert (r.token_ids[-1] == eos) == r.finished
        assert eos not in r.token_ids[:-1]
        assert r.finished or len(r.token_ids) == 32


def test_a_stop_text_ends_the_response_and_stays_in_it(engine):
    plain = engine.sample(requests(n=1))[0]
    stop = plain.text[3:5]
    stopped = engine.sample(requests(n=1, stop=(stop,)))[0]
    assert stopped.finished and stop in stopped.text
    assert stopped.token_ids == plain.token_ids[: len(stopped.token_ids)]
    assert len(stopped.token_ids) < len(plain.token_ids)


def test_a_stop_that_is_a_special_token_ends_the_response_unseen(engines, monkeypatch):
    """Such as the end of a turn, for a base model whose own EOS is another token."""
    for engine in engines.values():
        ids = engine.sample(requests(n=1))[0].token_ids
        place = next(i for i, token in enumerate(ids) if i > 4 and token not in ids[:i])
        monkeypatch.setattr(engine, "special", {"<|im_end|>": ids[place]})
        stopped = engine.sample(requests(n=1, stop=("<|im_end|>",)))[0]
        assert stopped.finished and stopped.token_ids == ids[: place + 1]
        assert len(stopped.logprobs) == place + 1


def test_each_response_is_handed_over_once_with_its_index(engine):
    seen = {}
    responses = engine.sample(requests(), lambda i, r: seen.setdefault(i, r))
    assert seen == dict(enumerate(responses))


def test_a_forgotten_tensor_stops_the_run(engine, other_model):
    partial = [(n, w) for n, w in named_weights(other_model) if "layers.1.mlp" not in n]
    with pytest.raises(RuntimeError, match=r"missing.*layers\.1\.mlp"):
        engine.sync(iter(partial))


def test_name_check_knows_tied_heads_but_no_strangers():
    check_names({"a"}, {"a", "lm_head.weight"})
    with pytest.raises(RuntimeError, match="unknown"):
        check_names({"a", "b"}, {"a"})


def test_missing_model_and_missing_engine_are_one_sentence(tmp_path, monkeypatch, one_process):
    with pytest.raises(UserError, match="does not exist"):
        model_directory(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"config\.json"):
        model_directory(str(tmp_path))
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match="no sampler"):
        make_engine(Config(), "anywhere", one_process)


def test_a_hub_says_why_it_gives_no_model(monkeypatch):
    def snapshot_download(*_, **__):
        raise OSError("401 Client Error.\n\nAccess to it is restricted.\nPlease log in.")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(UserError, match="401 Client Error. Access to it is restricted. Please log"):
        model_directory("some-lab/gated")


def test_a_consolidated_copy_of_the_weights_is_not_read(tmp_path):
    save_file({"a.weight": torch.zeros(1)}, tmp_path / "model-00001-of-00001.safetensors")
    save_file({"b.weight": torch.zeros(1)}, tmp_path / "consolidated.safetensors")
    assert checkpoint_names(str(tmp_path)) == {"a.weight"}


class Drafts:
    """An engine that answers every request with a draft which it does not finish."""

    def sample(self, requests, on_finish):
        for i in range(len(requests)):
            on_finish(i, Response([1], [-1.0], "a draft", False))


def accept(sandbox, group, response, source, cfg):
    return Sample(response, None)


def test_a_thought_that_the_template_began_is_part_of_the_answer(one_process):
    """Else a draft that max_tokens cut inside the thought would be judged as the answer."""
    groups = [
        Group(i, "code", None, "", [1], prefill=text) for i, text in enumerate(("", "<think>"))
    ]
    cfg = Config(samples_per_prompt=1)
    with Pool(1) as pool:
        made = rollout(cfg, 0, groups, Drafts(), pool, accept, print, Stopwatch())
    texts = [group.samples[0].response.text for group in made]
    assert texts == ["a draft", "<think>a draft"]


def test_ranks_tell_each_other_what_they_sampled_and_no_tests(one_process, monkeypatch):
    sent = []

    def gather_with_another(item, task):
        sent.append(len(pickle.dumps(item)))
        return [item, {1: [Sample(Response([2], [-2.0], "of rank 1", True), None)]}]

    monkeypatch.setattr("rollout.gather", gather_with_another)
    monkeypatch.setattr("rollout.dist.get_world_size", lambda: 2)
    task = Problem("a", "", {"inputs": ["x" * 5_000_000], "outputs": [""]})
    groups = [Group(i, "code", task, "", [1]) for i in range(2)]
    with Pool(1) as pool:
        made = rollout(
            Config(samples_per_prompt=1), 0, groups, Drafts(), pool, accept, print, Stopwatch()
        )
    assert [group.samples[0].response.text for group in made] == ["a draft", "of rank 1"]
    assert max(sent) < 10_000


def test_one_rank_of_a_sampler_judges(one_process, monkeypatch):
    """The others have the same answers, and learn what became of them."""
    told = {0: [Sample(Response([2], [-2.0], "of rank 0", True), None)]}
    monkeypatch.setattr("rollout.gather", lambda item, task: [told, item])
    monkeypatch.setattr("rollout.dist.get_world_size", lambda: 2)
    monkeypatch.setattr("rollout.dist.get_rank", lambda: 1)
    engine, tells = Drafts(), []
    engine.sample = lambda requests, on_finish: tells.append((len(requests), on_finish))
    groups, cfg = [Group(0, "code", None, "", [1])], Config(samples_per_prompt=1, rollout_tp=2)
    with Pool(1) as pool:
        made = rollout(cfg, 0, groups, engine, pool, accept, print, Stopwatch())
    assert tells == [(1, None)]
    assert [group.samples for group in made] == [told[0]]


class Llm:
    """vLLM's, as far as the start goes, for a model of which no prefix can be cached."""

    asked: list[dict] = []

    def __init__(self, directory, **settings):
        self.asked.append(settings)
        if "enable_prefix_caching" not in settings:
            raise ValueError("chunked prefill is required")

    def get_tokenizer(self):
        return tiny.make_tokenizer()


def test_a_hybrid_starts_on_a_cpu_without_cached_prefixes(random_model, monkeypatch):
    monkeypatch.setattr("vllm.LLM", Llm)
    monkeypatch.setattr(Llm, "asked", [])
    make_engine(FP32, random_model, torch.device("cpu"))
    assert [asked.get("enable_prefix_caching") for asked in Llm.asked] == [None, False]
    Llm.asked.clear()  # a GPU's error is about something else, and comes once
    with pytest.raises(UserError, match="chunked prefill is required.*--engine=hf"):
        make_engine(FP32, random_model, torch.device("cuda"))
    assert len(Llm.asked) == 1


def test_a_model_that_vllm_does_not_know_is_one_sentence(random_model, monkeypatch):
    def fail(directory, **settings):
        raise AttributeError("'Config' object has\nno attribute 'conv_dim'")

    monkeypatch.setattr("vllm.LLM", fail)
    with pytest.raises(UserError, match="AttributeError: .* has no attribute 'conv_dim'.*hf"):
        make_engine(FP32, random_model, torch.device("cpu"))


def test_the_plain_sampler_takes_many_requests_in_parts(engines, monkeypatch):
    asked = [Request(PROMPTS[i % len(PROMPTS)], i, 3 + i, 1.0) for i in range(5)]
    told, parts = [], []
    for size in (64, 2):
        monkeypatch.setattr("rollout.BATCH", size)
        seen = {}
        parts.append(engines["hf"].sample(asked, lambda i, r, seen=seen: seen.update({i: r})))
        told.append([seen[i] for i in range(5)])
    assert told[0] == parts[0] and told[1] == parts[1]
    assert [r.token_ids for r in parts[0]] == [r.token_ids for r in parts[1]]
