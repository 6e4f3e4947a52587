"""Model families: each is trained exactly, packed or in rows, or refused by one sentence.

Tiny models with random weights stand for them. docs/models.md has the table.
"""

import dataclasses
import json
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from config import Config, UserError
from jail.protocol import Run
from policy import Pack, Rows, named_weights
from problems.problem import Question
from rollout import Group, Request, Response, Sample, make_engine
from sandbox import Sandbox
from startup.files import expected_names
from startup.model import fix_rope, load_policy, load_tokenizer, refuse_what_is_not_done
from startup.start import check_examples, check_sandbox, check_start, context_length
from train import update

CPU = torch.device("cpu")
LENGTHS = {"max_prompt_tokens": 32, "max_tokens": 32}
FP32 = Config(dtype="float32", **LENGTHS)
BASE = {
    "vocab_size": 128, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
HEADS = BASE | {"head_dim": 8}
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
LATENT = {  # attention over compressed keys and values
    "num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8, "v_head_dim": 8,
}  # fmt: skip
DELTA = {  # layers of linear attention
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention"],
}  # fmt: skip
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1}
FACTORS = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "factor": 4.0}
LONG = {"original_max_position_embeddings": 32}
LONGROPE = LONG | {
    "rope_parameters": {"rope_type": "longrope", "rope_theta": 10000.0, **FACTORS, **LONG}
}
DYNAMIC = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
YARN = DYNAMIC | {"rope_type": "yarn", "original_max_position_embeddings": 32}

GEMMA_TEXT = HEADS | {"sliding_window": 8, "model_type": "gemma3_text"}
EYES = {  # of multimodal models: tiny, and never used
    "model_type": "siglip_vision_model", "hidden_size": 16, "intermediate_size": 16,
    "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
}  # fmt: skip
MISTRAL = {
    "text_config": HEADS | {"model_type": "mistral"},
    "vision_config": EYES | {"model_type": "pixtral", "head_dim": 8},
}
QWEN_EYES = {"hidden_size": 16, "intermediate_size": 16, "depth": 1, "num_heads": 2}
QWEN_EYES |= {"out_hidden_size": 32, "num_position_embeddings": 16}

FAMILIES = {  # name -> (type, configuration, Pack or Rows or what the refusal says)
    "Llama": ("llama", BASE, Pack),
    "Llama, yarn": ("llama", BASE | {"rope_parameters": YARN}, Pack),
    "Llama, dynamic RoPE": ("llama", BASE | {"rope_parameters": DYNAMIC}, Pack),
    "Llama, dynamic RoPE, beyond": (
        "llama",
        BASE | {"rope_parameters": DYNAMIC, "max_position_embeddings": 32},
        "cannot be trained",
    ),
    "Mistral": ("mistral", HEADS | {"sliding_window": 8}, Pack),
    "Ministral": ("ministral", HEADS | {"sliding_window": 8}, Pack),
    "Qwen2, Qwen2.5": ("qwen2", BASE, Pack),
    "Qwen3": ("qwen3", HEADS, Pack),
    "SmolLM3": ("smollm3", BASE, Pack),
    "OLMo": ("olmo", BASE, Pack),
    "OLMo 2": ("olmo2", BASE, Pack),
    "OLMo 3": ("olmo3", BASE | {"sliding_window": 8}, Pack),
    "Granite": ("granite", BASE | {"logits_scaling": 8.0}, "logits_scaling"),
    "Phi-1, Phi-2": ("phi", BASE, "its output head has a bias"),
    "Phi-3, Phi-4-mini": ("phi3", BASE, Pack),
    "Phi-3, longrope": ("phi3", BASE | LONGROPE, Pack),
    "Gemma": ("gemma", HEADS, Pack),
    "Gemma 2": ("gemma2", HEADS, "final_logit_softcapping"),
    "Gemma 3 text": ("gemma3_text", HEADS | {"sliding_window": 8}, Pack),
    "Gemma 3, 4B and up": ("gemma3", {"text_config": GEMMA_TEXT, "vision_config": EYES}, Pack),
    "Mistral Small 3.1": ("mistral3", MISTRAL, "cannot load the model"),
    "Qwen3.5": ("qwen3_5", {"text_config": HEADS | DELTA, "vision_config": QWEN_EYES}, Rows),
    "Cohere": ("cohere", BASE, "logit_scale"),
    "StableLM": ("stablelm", BASE, Rows),
    "StarCoder2": ("starcoder2", BASE, Pack),
    "EXAONE 4": ("exaone4", BASE | {"sliding_window": 8}, Pack),
    "Seed-OSS": ("seed_oss", HEADS, Pack),
    "ERNIE 4.5": ("ernie4_5", HEADS, Pack),
    "GLM-4": ("glm4", HEADS, Pack),
    "Helium": ("helium", HEADS, Pack),
    "Nemotron": ("nemotron", BASE, Rows),
    "HunYuan dense": ("hunyuan_v1_dense", HEADS, Pack),
    "GPT-2": ("gpt2", {"vocab_size": 128, "n_embd": 32, "n_layer": 1, "n_head": 4}, r"\.layers"),
    "GPT-NeoX, Pythia": ("gpt_neox", BASE, Pack),
    "Qwen3-MoE": ("qwen3_moe", HEADS | MOE, Pack),
    "Mixtral": ("mixtral", BASE | {"num_local_experts": 4}, Pack),
    "OLMoE": ("olmoe", BASE | MOE, Pack),
    "Llama 4": (  # else chunks of its attention would need a look
        "llama4_text",
        HEADS | {"num_local_experts": 2, "intermediate_size_mlp": 48},
        "in no list",
    ),
    "GPT-OSS": ("gpt_oss", HEADS | {"num_local_experts": 4}, Rows),
    "DeepSeek-V3": (
        "deepseek_v3",
        BASE | LATENT | MOE | {"n_routed_experts": 4, "n_group": 1, "topk_group": 1},
        Pack,
    ),
    "LFM2": (
        "lfm2",
        BASE | {"full_attn_idxs": [1], "block_auto_adjust_ff_dim": False},
        Rows,
    ),
    "Qwen3-Next": (
        "qwen3_next",
        HEADS | MOE | DELTA | {"shared_expert_intermediate_size": 16},
        Rows,
    ),
    "Qwen3.5 text": ("qwen3_5_text", HEADS | DELTA, Rows),
    "Falcon-H1": ("falcon_h1", BASE | MAMBA | {"mamba_d_ssm": 64}, Rows),
    "Bamba": ("bamba", BASE | MAMBA | {"attn_layer_indices": [1]}, Rows),
    "Granite 4 hybrid": (
        "granitemoehybrid",
        BASE
        | MAMBA
        | {"layer_types": ["mamba", "attention"], "num_local_experts": 0, "logits_scaling": 1.0},
        Rows,
    ),
    "RecurrentGemma": (
        "recurrent_gemma",
        BASE | {"lru_width": 32, "block_types": ["recurrent", "attention"]},
        "logits_soft_cap",
    ),
    "Mamba-2": (
        "mamba2",
        {"vocab_size": 128, "hidden_size": 32, "num_hidden_layers": 1, "num_heads": 8,
         "head_dim": 8, "state_size": 8, "n_groups": 1},
        Rows,
    ),
}  # fmt: skip

DICE = torch.Generator().manual_seed(7)


def draw(count):
    return torch.randint(4, 120, (count,), generator=DICE).tolist()


BEGINNING = draw(6)
PROMPTS = [BEGINNING + draw(5), BEGINNING + draw(17)]
ANSWERS = [[draw(3), draw(8)], [draw(12), draw(1), draw(30)]]


def make_directory(family, path):
    """A model of the family, in which context matters."""
    kind, keys, _ = FAMILIES[family]
    torch.manual_seed(0)
    auto = AutoModelForImageTextToText if "text_config" in keys else AutoModelForCausalLM
    model = auto.from_config(AutoConfig.for_model(kind, **keys))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(3.0)
    model.save_pretrained(path)
    return str(path)


def plain_logprobs(model):
    """One pass for each text, nothing shared, nothing padded."""
    out = []
    with torch.no_grad():
        for prompt, group in zip(PROMPTS, ANSWERS, strict=True):
            for answer in group:
                logits = model(torch.tensor([prompt + answer]), use_cache=False).logits[0].float()
                logp = logits.log_softmax(-1)[len(prompt) - 1 : -1]
                out.append(logp.gather(1, torch.tensor(answer)[:, None])[:, 0])
    return torch.cat(out)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_trained_exactly_or_refused(one_process, tmp_path, family):
    wanted = FAMILIES[family][2]
    directory = make_directory(family, tmp_path)
    if isinstance(wanted, str):
        with pytest.raises(UserError, match=wanted) as refusal:
            load_policy(FP32, directory, one_process)
        assert "\n" not in str(refusal.value)
        return
    policy = load_policy(FP32, directory, one_process)
    assert policy.layout is wanted
    own = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    fix_rope(own, 64)
    ours = policy.no_grad_logp(policy.layout(PROMPTS, ANSWERS))
    assert (ours - plain_logprobs(own)).abs().max() < 1e-4
    sent = dict(named_weights(policy))
    assert sent.keys() == expected_names(directory)


def test_a_family_whose_class_vllm_has_changed_is_still_trained(one_process, monkeypatch, tmp_path):
    """It has no code of its own for SmolLM3, and lets transformers' class call its compiler."""
    policy = load_policy(FP32, make_directory("SmolLM3", tmp_path), one_process)
    before = policy.no_grad_logp(Pack(PROMPTS, ANSWERS))

    def call(self, *args, **keys):
        return self.forward(*args, **keys) if self.do_not_compile else None

    monkeypatch.setattr(type(policy.model.get_decoder()), "__call__", call)
    assert torch.equal(policy.no_grad_logp(Pack(PROMPTS, ANSWERS)), before)


STEPS = ["LFM2", "Qwen3-Next", "Qwen3.5", "Qwen3-MoE", "Phi-3, longrope", "Gemma 3, 4B and up"]


@pytest.mark.parametrize("family", STEPS)
def test_four_steps_stay_on_policy(one_process, tmp_path, family):
    """The sampler has what the trainer has, step after step: the transformers one, in fp32."""
    directory = make_directory(family, tmp_path)
    tiny.make_tokenizer().save_pretrained(directory)
    cfg = dataclasses.replace(FP32, engine="hf", lr=1e-2, tis_cap=0.0)
    policy = load_policy(cfg, directory, one_process)
    optimizer = torch.optim.AdamW(policy.parameters(), cfg.lr)
    engine = make_engine(cfg, directory, one_process)
    before = torch.cat([tiny.full(weight) for weight in policy.parameters()])
    requests = [Request(prompt, seed, 24, 1.0) for seed in range(2) for prompt in PROMPTS]
    for step in range(1, 5):
        engine.sync(named_weights(policy))
        groups = [Group(k, "code", None, "", prompt) for k, prompt in enumerate(PROMPTS)]
        for k, response in enumerate(engine.sample(requests)):
            sample = Sample(response, None, advantage=(-1.0) ** (k // 2))
            groups[k % 2].samples.append(sample)
        stats = update(cfg, step, groups, policy, None, optimizer)
        assert stats["max_mismatch"] < 1e-4
    after = torch.cat([tiny.full(weight) for weight in policy.parameters()])
    assert (after - before).abs().max() > 1e-2


def test_a_sync_keeps_all_end_tokens(one_process, tmp_path):
    """A mixture of experts is made anew, and would have those of config.json alone."""
    directory = make_directory("Qwen3-MoE", tmp_path)
    tiny.make_tokenizer().save_pretrained(directory)
    Path(directory, "generation_config.json").write_text('{"eos_token_id": [0, 3]}')
    engine = make_engine(dataclasses.replace(FP32, engine="hf"), directory, one_process)
    engine.sync(named_weights(load_policy(FP32, directory, one_process)))
    assert engine.model.generation_config.eos_token_id == [0, 3]


def test_the_transformers_sampler_refuses_a_cache_that_it_does_not_know(one_process, tmp_path):
    directory = make_directory("Mamba-2", tmp_path)
    with pytest.raises(UserError, match="Mamba2ForCausalLM has no cache"):
        make_engine(dataclasses.replace(FP32, engine="hf"), directory, one_process)


# ------------------------------------------------------------------------------- before it loads
def refusal(directory, device=CPU, compares=True, **keys):
    cfg = Config(model=str(directory), **(LENGTHS | keys))
    with pytest.raises(UserError) as error:
        check_start(cfg, device, compares)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_quantised_weights_are_refused():
    """In fp32 they would lack their scales."""
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **BASE))
    refuse_what_is_not_done(model, "here")
    model.config.quantization_config = {"quant_method": "fp8"}
    with pytest.raises(UserError, match="here: its weights are quantised"):
        refuse_what_is_not_done(model, "here")


def test_a_low_temperature_changes_nothing_of_what_is_measured(llama):
    found = []
    for temperature in (1.0, 0.01):
        cfg = Config(model=str(llama), temperature=temperature, **LENGTHS)
        found_policy = load_policy(cfg, str(llama), CPU, say=found.append)
        assert found_policy.temperature == temperature
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return make_directory("Llama", tmp_path_factory.mktemp("llama"))


def test_a_group_of_one_cannot_be_compared(llama):
    assert "samples_per_prompt=1" in refusal(llama, samples_per_prompt=1)
    assert check_start(Config(model=llama, samples_per_prompt=1, **LENGTHS), CPU, False) == llama


def test_texts_longer_than_the_context_are_refused(llama):
    assert "context of" in refusal(llama, max_tokens=97)
    assert check_start(Config(model=llama, max_prompt_tokens=32, max_tokens=96), CPU, True)


def test_a_context_that_rope_extends_counts_whole(tmp_path):
    longer = BASE | {"rope_parameters": YARN | {"original_max_position_embeddings": 128}}
    AutoConfig.for_model("llama", **longer).save_pretrained(tmp_path)
    assert context_length(str(tmp_path)) == 512


def test_a_gpu_that_torch_cannot_use_is_no_reason_to_train_on_the_cpu(llama, monkeypatch, tmp_path):
    (tmp_path / "nvidia3").touch()
    monkeypatch.setattr("startup.start.DEVICES", tmp_path)
    monkeypatch.setattr("torch.cuda.init", lambda: (_ for _ in ()).throw(RuntimeError("too old")))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "cannot use (too old)" in refusal(llama)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert check_start(Config(model=llama, **LENGTHS), CPU, True)


def test_a_gpu_without_bfloat16_is_told_so(llama, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "Tesla T4")
    cuda = torch.device("cuda", 0)
    assert "Tesla T4" in refusal(llama, cuda, dtype="bfloat16")
    assert check_start(Config(model=llama, dtype="float32", **LENGTHS), cuda, True)


def test_worked_examples_must_leave_room_for_a_question():
    example = Question("def f(x):\n    y = x\n    return y", [1], "f", {"y": 1})
    tokenizer = tiny.make_tokenizer()
    check_examples(Config(max_prompt_tokens=512), tokenizer, [example])
    with pytest.raises(UserError, match="leave no room for a question"):
        check_examples(Config(max_prompt_tokens=64), tokenizer, [example] * 2)
    check_examples(Config(max_prompt_tokens=64, align_ratio=0.0), tokenizer, [example] * 2)


def test_a_template_that_drops_the_thoughts_of_worked_examples_is_refused():
    """Qwen3's shows no thought of an earlier turn."""
    thought = "y is 1"
    example = Question("def f(x):\n    y = x\n    return y", [1], "f", {"y": 1}, thought=thought)
    tokenizer, cfg = tiny.make_tokenizer(), Config(max_prompt_tokens=512)
    check_examples(cfg, tokenizer, [example])
    last = "m['content'].split('</think>')[-1]"
    tokenizer.chat_template = tokenizer.chat_template.replace("m['content']", last)
    with pytest.raises(UserError, match="leaves out the thoughts of earlier turns"):
        check_examples(cfg, tokenizer, [example])
    example.thought = ""
    check_examples(cfg, tokenizer, [example])


def test_a_tokenizer_that_loses_blanks_is_refused(tiny_model, tmp_path):
    """DeepSeek-Coder names Llama's class, which takes blanks and line ends for something else."""
    load_tokenizer(str(tiny_model))
    for path in Path(tiny_model).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "LlamaTokenizerFast"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=r"could neither read nor write programs; put .*Pre") as why:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(why.value)
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # as the sentence says
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    load_tokenizer(str(tmp_path))
    for path in tmp_path.glob("*token*"):
        path.unlink()
    with pytest.raises(UserError, match="cannot load the tokenizer in"):
        load_tokenizer(str(tmp_path))


def test_a_sandbox_that_ends_whatever_it_runs_is_told_at_the_start():
    with closing(Sandbox()) as fine:
        assert check_sandbox(fine) == fine.layers
    broken = SimpleNamespace(run=lambda *_: [Run("killed", error="it ended")])
    with pytest.raises(UserError, match=r"cannot run `print\(1\)` .killed: it ended.; raise"):
        check_sandbox(broken)


def test_names_that_no_sampler_knows_are_refused(llama, tmp_path):
    for path in Path(llama).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    more = weights | {"extra.weight": torch.zeros(1)}
    save_file(more, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"disagree on 1 names of tensors, such as extra\.weight"):
        load_policy(FP32, str(tmp_path), CPU)


def test_rows_are_padded_on_the_right_and_split_by_their_cost():
    rows = Rows([[1, 2], [3]], [[[4, 5], [6]], [[7, 8, 9]]])
    assert rows.ids.tolist() == [[1, 2, 4], [1, 2, 0], [3, 7, 8]]
    assert rows.predictors.tolist() == [1, 2, 4, 6, 7, 8]
    assert rows.targets.tolist() == [4, 5, 6, 7, 8, 9] and rows.lengths == [2, 1, 3]
    group = Group(0, "code", None, "", [1, 2])
    pairs = [(group, Sample(Response([5] * n, [], "", True), None)) for n in (2, 9)]
    assert Rows.cost(pairs) == 2 * (2 + 9 - 1) and Rows.cost([]) == 0


def test_weights_that_are_no_numbers_are_refused(one_process, llama, tmp_path):
    for path in Path(llama).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    weights["model.norm.weight"][:] = torch.nan
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="cannot be trained"):
        load_policy(FP32, str(tmp_path), CPU)
