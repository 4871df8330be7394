"""Embeddings."""

from __future__ import annotations

import base64 as encoding
import struct

from openai import OpenAI

from strict import checked

TEXTS = ["The oven is hot.", "Bread is baked in it.", "Paris is in France."]


def floats(client: OpenAI, names) -> None:
    response = checked(client.embeddings.create(model=names.embed, input=TEXTS[0], encoding_format="float"))
    assert response.object == "list" and response.model
    (row,) = response.data
    assert row.object == "embedding" and row.index == 0
    assert abs(sum(value * value for value in row.embedding) - 1) < 1e-3, "of unit length"
    assert response.usage.prompt_tokens == response.usage.total_tokens > 0


def base64(client: OpenAI, names) -> None:
    plain = client.embeddings.create(model=names.embed, input=TEXTS[0], encoding_format="float").data[0].embedding
    text = client.embeddings.create(model=names.embed, input=TEXTS[0], encoding_format="base64").data[0].embedding
    assert isinstance(text, str)
    raw = encoding.b64decode(text, validate=True)
    values = list(struct.unpack(f"<{len(raw) // 4}f", raw))
    # Decimal digits name each float32 and no other one.
    assert values == [struct.unpack("<f", struct.pack("<f", value))[0] for value in plain]
    # Without a format the client asks for Base64 itself, and decodes it.
    decoded = checked(client.embeddings.create(model=names.embed, input=TEXTS[0])).data[0].embedding
    assert list(decoded) == values


def batch(client: OpenAI, names) -> None:
    response = checked(client.embeddings.create(model=names.embed, input=TEXTS))
    assert [row.index for row in response.data] == [0, 1, 2]
    for text, row in zip(TEXTS, response.data):
        alone = checked(client.embeddings.create(model=names.embed, input=text)).data[0].embedding
        assert list(alone) == list(row.embedding), "the same vector alone and in company"

    def near(a: int, b: int) -> float:
        return sum(x * y for x, y in zip(response.data[a].embedding, response.data[b].embedding))

    assert near(0, 1) > near(0, 2) and near(0, 1) > near(1, 2), "what is about baking is alike"


def options(client: OpenAI, names) -> None:
    response = checked(client.embeddings.create(model=names.embed, input=TEXTS, dimensions=8, user="judge"))
    assert all(len(row.embedding) == 8 for row in response.data)
    ours = {"truncate": "end", "normalize": "none"}
    long = "and on " * 2000
    row = checked(client.embeddings.create(model=names.embed, input=[long], extra_body=ours)).data[0]
    assert row.model_extra["truncated"] is True, row.model_extra
