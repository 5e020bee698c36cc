"""Turn the collected pages into vectors (TF-IDF, then SVD) and show what they are good for.

Reads results/pages.jsonl, writes results/embeddings.npz with `paths` and `vectors` (one row a page, of length 1).
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from progress import bar
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

RESULTS = Path(__file__).parent / "results"
DIMENSIONS = 200
ASKED = ("json/decoder.py", "http/server.py", "asyncio/queues.py")


def pages() -> list[dict[str, str]]:
    """Everything collect.py found."""
    with (RESULTS / "pages.jsonl").open() as lines:
        return [json.loads(line) for line in lines]


def embed(texts: list[str]) -> np.ndarray:
    """One vector a text. Words and pairs of words count, by how telling they are."""
    weigher = TfidfVectorizer(
        token_pattern=r"[A-Za-z]{2,}", ngram_range=(1, 2), min_df=3, sublinear_tf=True, dtype=np.float32
    )
    weights = weigher.fit_transform(bar(texts, len(texts), "tf-idf"))
    dimensions = min(DIMENSIONS, len(texts) - 1)
    print(f"svd        {weights.shape[0]} pages x {weights.shape[1]} terms -> {dimensions} dimensions", flush=True)
    return np.asarray(normalize(TruncatedSVD(dimensions, random_state=0).fit_transform(weights)))


def neighbours(paths: list[str], vectors: np.ndarray) -> Iterator[str]:
    """For some pages, the three pages most like them."""
    for asked in ASKED:
        if asked in paths:
            likeness = vectors @ vectors[paths.index(asked)]
            best = [paths[i] for i in np.argsort(-likeness) if paths[i] != asked][:3]
            yield f"like {asked}: {', '.join(best)}"


def main() -> None:
    """Read, embed, write, show."""
    found = pages()
    paths = [page["path"] for page in found]
    vectors = embed([page["text"] for page in found])
    np.savez_compressed(RESULTS / "embeddings.npz", paths=np.array(paths), vectors=vectors)
    print(*neighbours(paths, vectors), sep="\n")
    print(f"{len(paths)} vectors of {vectors.shape[1]} numbers in {RESULTS / 'embeddings.npz'}")


if __name__ == "__main__":
    main()
