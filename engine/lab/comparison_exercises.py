"""Exercise 3: pre-trained encoders used again to classify texts, to answer questions and to find documents."""

from __future__ import annotations

from engine.lab import comparison_claims as claims
from engine.lab.exercise import Exercise, Step, Work

_ENCODER = {"encoder": "encoder"}
_EMOTION = Work(
    "emotion",
    "classify",
    "classify",
    "Classify emotions",
    roles={"data": "emotion", **_ENCODER},
    fields={"pooling": "all", "heads": ("lr", "mlp", "finetune"), "class_weights": False, "epochs": 2, "limit": 0},
    quick={"epochs": 1, "limit": 1000},
)
_WEIGHTED = Work(
    "weighted",
    "classify",
    "classify",
    "The same with class weights",
    roles={"data": "emotion", **_ENCODER},
    fields={"pooling": "all", "heads": ("lr", "mlp"), "class_weights": True, "limit": 0},
    quick={"limit": 1000},
)
_NEWS = Work(
    "news",
    "classify",
    "classify",
    "Classify news",
    roles={"data": "news", **_ENCODER},
    fields={"pooling": "last4", "heads": ("lr", "mlp", "finetune"), "class_weights": False, "epochs": 1, "limit": 0},
    quick={"limit": 1000},
)
_DATA_HUB = "Give {} as the data set and auto as the encoder, which is then DistilBERT, as in the course."
_TEXTS_HUB = _DATA_HUB.format("dair-ai/emotion and fancyzhx/ag_news")
CLASSIFIER = Exercise(
    "3.1",
    "Text classifier",
    "Use a pre-trained encoder as it is: it turns each text into numbers, and a shallow classifier learns from those. "
    "Then see what class weights change, whether counting words does as well, and what fine-tuning the encoder adds.",
    (_EMOTION, _WEIGHTED, _NEWS),
    (
        Step(
            "3.1 emotion",
            "Six skewed classes",
            "Train logistic regression and an MLP on frozen features, compare with TF-IDF, and fine-tune the encoder. "
            "Look at the confusion matrix: which classes are mistaken for which, and how many rows has each?",
            "work",
            "emotion",
            hub=_TEXTS_HUB,
        ),
        Step(
            "3.1 weighted",
            "Class weights",
            "Train the shallow classifiers again, with rare classes weighted more in the loss. Compare accuracy and "
            "macro F1 with those of the run without weights.",
            "work",
            "weighted",
            hub=_TEXTS_HUB,
        ),
        Step(
            "3.1 news",
            "Balanced classes",
            "The same methods on data with classes of equal size, whose words give them away.",
            "work",
            "news",
            hub=_TEXTS_HUB,
        ),
        Step(
            "3.1 frozen",
            "Frozen features on emotion",
            "The accuracy of the better shallow classifier with its interval, beside the figure of the course. Another "
            "encoder or another pooling may explain a difference.",
            "claim",
            "emotion",
            claims.EMOTION_FROZEN,
            _TEXTS_HUB,
        ),
        Step(
            "3.1 weights",
            "Do class weights matter?",
            "Both runs judge the same test rows, so the difference can be tested row by row. Equal means: the whole "
            "interval of the difference is small.",
            "claim",
            "weighted",
            claims.WEIGHTS,
            _TEXTS_HUB,
        ),
        Step(
            "3.1 tuned",
            "Fine-tuning on emotion",
            "Fine-tuning changes the encoder itself. It takes much longer: look at what it brings for that.",
            "claim",
            "emotion",
            claims.EMOTION_TUNED,
            _TEXTS_HUB,
        ),
        Step(
            "3.1 balanced",
            "Frozen features on ag_news",
            "On easy data frozen features are enough. Compare with emotion: is it the balance of the classes, or what "
            "the classes are about?",
            "claim",
            "news",
            claims.NEWS_FROZEN,
            _TEXTS_HUB,
        ),
        Step(
            "3.1 shallow",
            "Logistic regression or MLP?",
            "If a linear classifier does as well as a network with a hidden layer, the features are what counts.",
            "claim",
            "emotion",
            claims.SHALLOW,
            _TEXTS_HUB,
        ),
        Step(
            "3.1 features",
            "Frozen features or words?",
            "TF-IDF counts words and knows nothing of their meaning. Are the features of a pre-trained encoder better "
            "than that here?",
            "claim",
            "emotion",
            claims.FEATURES,
            _TEXTS_HUB,
        ),
        Step(
            "3.1 answer",
            "Your conclusion",
            "Write which method you would use for each data set, and name the figure that decides it.",
            "answer",
        ),
    ),
    "When are frozen features enough, and when is fine-tuning worth its time?",
)

_QUESTIONS = Work(
    "questions",
    "choose",
    "choose",
    "Rank the choices",
    roles={"data": "questions", "model": "model", **_ENCODER},
    fields={"methods": ("zero-shot", "margin", "cross-entropy"), "limit": 1000},
    quick={"limit": 300},
)
_QUESTIONS_HUB = _DATA_HUB.format("tau/commonsense_qa")
QUESTIONS = Exercise(
    "3.2",
    "Multiple choice",
    "Answer questions by ranking their choices. A language model can do it without training, by how probable it finds "
    "each answer; a small scorer on frozen features is trained to put the right choice above the others.",
    (_QUESTIONS,),
    (
        Step(
            "3.2 questions",
            "Rank the choices",
            "Run zero-shot and two trained rankers, one with the margin loss and one with cross-entropy. Look at the "
            "controls: guessing, the longest choice, and each method with the question hidden.",
            "work",
            "questions",
            hub=_QUESTIONS_HUB,
        ),
        Step(
            "3.2 zero-shot",
            "Zero-shot against guessing",
            "The language model was never trained on these questions. Is it above what guessing reaches by more than "
            "its interval?",
            "claim",
            "questions",
            claims.ZERO_SHOT,
            _QUESTIONS_HUB,
        ),
        Step(
            "3.2 margin",
            "The margin ranker against guessing",
            "The margin loss asks that the right choice score higher than each wrong one by a margin. The encoder "
            "stays as it is: is that enough?",
            "claim",
            "questions",
            claims.MARGIN,
            _QUESTIONS_HUB,
        ),
        Step(
            "3.2 question",
            "Does it use the question?",
            "A ranker may find right choices by their style alone. Hide the question and see how much it loses.",
            "claim",
            "questions",
            claims.QUESTION,
            _QUESTIONS_HUB,
        ),
        Step(
            "3.2 answer",
            "Your conclusion",
            "Write what the best method seems to know, and which control convinces you.",
            "answer",
        ),
    ),
    "Can the questions be answered without fine-tuning, and how do you know that a method understands the question?",
)

_DOCUMENTS = Work(
    "documents",
    "retrieve",
    "retrieve",
    "Search the documents",
    roles={"data": "documents", **_ENCODER},
    fields={"methods": ("bm25", "cls", "mean", "hybrid", "trained"), "mode": "projection"},
)
_DOCUMENTS_HUB = _DATA_HUB.format("BeIR/scifact")
DOCUMENTS = Exercise(
    "3.3",
    "Retrieval",
    "Find the documents that answer a query. BM25 compares words; an encoder compares vectors by their cosine. See how "
    "far an encoder gets that was not trained for search, and what training on queries adds.",
    (_DOCUMENTS,),
    (
        Step(
            "3.3 documents",
            "Search the documents",
            "Rank the documents by BM25, by the cosine of [CLS] vectors and of mean vectors, by both together, and by "
            "a projection that is trained on queries. Open some queries where the methods differ.",
            "work",
            "documents",
            hub=_DOCUMENTS_HUB,
        ),
        Step(
            "3.3 cls",
            "The cosine of [CLS]",
            "[CLS] is one vector for the whole text. Compare its nDCG@10 with that of BM25, which needs no network. An "
            "encoder that was pre-trained for sentence similarity has an advantage here.",
            "claim",
            "documents",
            claims.FAR,
            _DOCUMENTS_HUB,
        ),
        Step(
            "3.3 mean",
            "The mean of all tokens",
            "In place of the first token, take the mean of all token vectors of the text.",
            "claim",
            "documents",
            claims.MEAN,
            _DOCUMENTS_HUB,
        ),
        Step(
            "3.3 trained",
            "What training brings",
            "The training pulls a query towards its document and away from others. Compare with the same encoder as it "
            "was, on queries that it was not trained on.",
            "claim",
            "documents",
            claims.TRAINED,
            _DOCUMENTS_HUB,
        ),
        Step(
            "3.3 answer",
            "Your conclusion",
            "Write which method you would put behind a search box, and what training brought.",
            "answer",
        ),
    ),
    "How far does the cosine between vectors get against BM25, and what does training add?",
)
