from service.questions.book import Book, Delivery, Match, Question
from service.questions.feed import atom
from service.questions.matching import Matcher, ask
from service.questions.webhooks import Webhooks, signature

__all__ = ["Book", "Delivery", "Match", "Matcher", "Question", "Webhooks", "ask", "atom", "signature"]
