"""Starting weights of the small mask networks: the body of a ddrnet23_slim checkpoint, the rest random.

    python runs/mask2anomaly_start.py DDRNET.ckpt mask2anomaly_small OUT.ckpt

With the network ddrnet23_slim it writes that network itself without heads, for a fair comparison.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from oddroad.learn.checkpoints.format import load_network, save_checkpoint
from oddroad.learn.networks import NETWORKS

HEADS = ("final_layer.", "seghead_extra.", "outlier.")
BODY = "model.pixel_level_module.encoder."


def main() -> None:
    """Write the checkpoint."""
    given, name, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    body, about = load_network(given)
    torch.manual_seed(0)
    arguments = {"classes": 19, "outlier": name == "ddrnet23_slim", "auxiliary": True}
    network = NETWORKS[name](**arguments)
    own = network.state_dict()
    prefix = "" if name == "ddrnet23_slim" else BODY
    taken = {f"{prefix}{key}": each for key, each in body.state_dict().items() if not key.startswith(HEADS)}
    network.load_state_dict({**own, **{key: taken[key] for key in own if key in taken}})
    words = {"start": f"body of '{given.name}' ({about.get('origin', {}).get('date', 'date unknown')}), heads random"}
    save_checkpoint(out, network, {**about, "network": name, "arguments": arguments, "origin": words, "scores": {}})
    print(f"{len([key for key in own if key in taken])} of {len(own)} values of {name} come from {given}")


if __name__ == "__main__":
    main()
