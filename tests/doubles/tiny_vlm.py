"""A vision-language model of transformers with random weights, a few hundred kB small, written in the real format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = ("put", "the", "red", "block", "on", "plate", "what", "action", "open", "drawer")
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>", "<image>")
ACT = tuple(f"<act_{i}_{v}>" for i in range(7) for v in range(8))
TAIL = tuple(f"<tail_{v}>" for v in range(256))


def write_model(folder: Path) -> int:
    """Writes a LLaVA with random weights, small as can be, in the format of transformers; returns the size of its vocabulary."""
    import torch
    import transformers as library
    from tokenizers import Tokenizer, models, pre_tokenizers

    transformers: Any = library

    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *(str(i) for i in range(10)), *WORDS, *ACT, *TAIL])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>", extra_special_tokens={"image_token": "<image>"}
    )
    size = {"height": 32, "width": 32}
    images = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size)
    transformers.LlavaProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=16, vision_feature_select_strategy="default", num_additional_image_tokens=1
    ).save_pretrained(folder)
    narrow = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    vision = transformers.CLIPVisionConfig(num_hidden_layers=2, image_size=32, patch_size=16, projection_dim=16, **narrow)
    text = transformers.LlamaConfig(num_hidden_layers=2, vocab_size=len(vocabulary), pad_token_id=0, **narrow)
    config = transformers.LlavaConfig(vision_config=vision, text_config=text, image_token_index=vocabulary["<image>"])
    config.image_token_id = vocabulary["<image>"]
    torch.manual_seed(0)
    model = transformers.LlavaForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not (name.endswith("weight") and "norm" in name):
                parameter.normal_(0.0, 0.3)  # wide enough for pictures and sentences to matter
    model.save_pretrained(folder)
    return len(vocabulary)
