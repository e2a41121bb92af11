"""Tiny models of the real ones' shape, built on disk, so that the packages' real code runs without a download."""

from pathlib import Path

SENTENCES = [
    "The central bank raises interest rates",
    "Volcano erupts on the island of Iceland",
    "Die Zinsen bleiben unverändert, sagt die Zentralbank",
    "A fire broke out at the docks of the old harbour",
    "Le président démissionne après des semaines de manifestations",
    "選挙の結果が発表された",
    "Ученые нашли воду на Марсе",
    "Train derails near the capital, ten people are injured",
]


def save_bge_m3(folder: Path) -> Path:
    """A folder such as the hub has for BGE-M3: one layer and random weights, but its width, classes and files."""
    import torch

    save_encoder(folder, hidden=1024)
    torch.manual_seed(0)
    torch.save(torch.nn.Linear(1024, 1024).state_dict(), folder / "colbert_linear.pt")
    torch.save(torch.nn.Linear(1024, 1).state_dict(), folder / "sparse_linear.pt")
    return folder


def save_sentence_transformer(folder: Path) -> Path:
    """A folder of sentence-transformers with mean pooling, 48 dimensions, and no normalisation."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    encoder = folder.with_name("encoder")
    save_encoder(encoder, hidden=48)
    transformer = Transformer(str(encoder), max_seq_length=64)
    SentenceTransformer(modules=[transformer, Pooling(48)], device="cpu").save(str(folder))
    return folder


def save_encoder(folder: Path, hidden: int) -> None:
    """Writes an XLM-RoBERTa of one layer with a Unigram tokenizer trained on the sentences above."""
    import torch
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=128,
    )
    torch.manual_seed(7)
    config = XLMRobertaConfig(
        vocab_size=len(fast),
        hidden_size=hidden,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=2 * hidden,
        max_position_embeddings=132,
        type_vocab_size=1,
        initializer_range=0.2,  # wide, so that unlike texts lie apart without training
        pad_token_id=fast.pad_token_id,
        bos_token_id=fast.bos_token_id,
        eos_token_id=fast.eos_token_id,
    )
    XLMRobertaModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
