"""Train a network to read handwritten digits: python train.py --config prod.toml

Writes results/model.pkl and results/training.json (what generate_report.py shows).
"""

import argparse
import json
import pickle
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

RESULTS = Path(__file__).parent / "results"
CLASSES = np.arange(10)


def shifted(pictures: np.ndarray, by: int) -> np.ndarray:
    """The pictures, moved by up to `by` points each way: a digit stays what it is."""
    square = np.pad(pictures.reshape(-1, 8, 8), ((0, 0), (by, by), (by, by)))
    steps = range(2 * by + 1)
    return np.concatenate([square[:, y : y + 8, x : x + 8].reshape(-1, 64) for y in steps for x in steps])


def train(config: dict[str, Any]) -> tuple[MLPClassifier, dict[str, Any]]:
    """Learn epoch by epoch; returns the network and its history."""
    settings, data = config["model"], config["data"]
    pictures, digits = load_digits(return_X_y=True)
    seen, unseen, labels, truth = train_test_split(
        pictures / 16, digits, test_size=data["test_share"], random_state=settings["seed"], stratify=digits
    )
    many = shifted(seen, data["shifts"])
    many_labels = np.tile(labels, len(many) // len(seen))
    model = MLPClassifier(
        settings["hidden"], learning_rate_init=settings["learning_rate"], random_state=settings["seed"]
    )
    history = []
    for epoch in range(1, settings["epochs"] + 1):
        model.partial_fit(many, many_labels, classes=CLASSES)
        history.append({"loss": float(model.loss_), "accuracy": float(model.score(unseen, truth))})
        print(
            "epoch {:3}/{}  loss {loss:.4f}  accuracy {accuracy:.4f}".format(epoch, settings["epochs"], **history[-1]),
            flush=True,
        )
    read = model.predict(unseen)
    wrong = np.flatnonzero(read != truth)
    mistakes = [{"picture": unseen[i].tolist(), "truth": int(truth[i]), "read": int(read[i])} for i in wrong]
    return model, {
        "config": config,
        "learned": len(many),
        "tested": len(truth),
        "history": history,
        "mistakes": mistakes,
    }


def main() -> None:
    """Read the configuration, train, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "prod.toml")
    config = tomllib.loads(parser.parse_args().config.read_text())
    model, training = train(config)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "model.pkl").write_bytes(pickle.dumps(model))
    (RESULTS / "training.json").write_text(json.dumps(training))
    print(f"model in {RESULTS / 'model.pkl'}")


if __name__ == "__main__":
    main()
