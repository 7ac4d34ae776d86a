"""Fields that the specs of several tasks have; each is given its default and its group there."""

from __future__ import annotations

from functools import partial

from engine.encoders.features import POOLING_HELP, POOLINGS
from engine.runs.spec import device as spec_device
from engine.runs.spec import option

encoder = partial(
    option,
    "auto",
    text="minilm (bundled), a folder, a name on the Hub, or auto: DistilBERT if available, else minilm.",
    required="name auto, minilm, a folder, or a model on the Hub",
    path=True,
)
pooling = partial(
    option,
    "mean",
    "How token vectors are combined: cls, mean, max, last (for GPT-2), last4 (means of the last four layers), all.",
    choices=POOLINGS,
    meanings=POOLING_HELP,
)
length = partial(option, label="max tokens", maximum=100_000)
limit = partial(option, 0, minimum=0)
seeds = partial(option, minimum=1, maximum=100)
seed = partial(option, 1337, minimum=0, maximum=(1 << 62) - 1)
epochs = partial(option, minimum=1, maximum=1000, advanced=True)
learning_rate = partial(option, 0.0, minimum=0, below=1, advanced=True)
device = partial(
    spec_device,
    text="Where to compute: auto and cuda take the GPU with the most free memory, cuda:N a certain one.",
    group="run",
)
gpus = partial(
    option, "1", "GPUs that encode texts together, or all; methods train on one of them.", group="run", advanced=True
)
encoding = partial(
    option,
    "",
    "Encoding of the text files, such as utf-8, cp1252 or gb18030; found in each file if not given.",
    blank="auto",
    advanced=True,
)
name = partial(option, "", "Name of the run; defaults to task and data.", group="run", advanced=True)

SEED = "Seed of splits, initial weights, order and dropout."
EPOCHS = "Maximum epochs of fine-tuning."
RATE = "Peak learning rate of fine-tuning; 0 chooses by the width of the encoder."
