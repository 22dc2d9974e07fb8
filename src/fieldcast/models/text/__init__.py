"""Scorers of texts: one contract, four kinds (a lexicon, a model fitted by the user, FinBERT, a chat service), and their measure.

Texts are scored once, when they come in; what is scored stands in the table `text_scores`, which the sentiment engine reads.
"""

from fieldcast.models.text.chat import ChatModel, ChatSettings, OpenAiChat, load_chat_settings
from fieldcast.models.text.choose import OFFLINE, SCORERS, Choice, choose_scorer
from fieldcast.models.text.contract import LABELS, Scored, TextScorer, scorer_id
from fieldcast.models.text.finbert import FinBert
from fieldcast.models.text.headline import HeadlineModel
from fieldcast.models.text.lexicon import Lexicon
from fieldcast.models.text.llm import LlmScorer
from fieldcast.models.text.measure import Accuracy, OutOfFold, Transfer, accuracy_of, grouped_folds, out_of_fold, transfer_of
from fieldcast.models.text.near_duplicates import near_duplicate_groups

__all__ = [
    "LABELS",
    "OFFLINE",
    "SCORERS",
    "Accuracy",
    "ChatModel",
    "ChatSettings",
    "Choice",
    "FinBert",
    "HeadlineModel",
    "Lexicon",
    "LlmScorer",
    "OpenAiChat",
    "OutOfFold",
    "Scored",
    "TextScorer",
    "Transfer",
    "accuracy_of",
    "choose_scorer",
    "grouped_folds",
    "load_chat_settings",
    "near_duplicate_groups",
    "out_of_fold",
    "scorer_id",
    "transfer_of",
]
