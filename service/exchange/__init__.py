from service.exchange.export import export
from service.exchange.importing import Taken, articles, take
from service.exchange.manifest import FORMATS, Format, Manifest

__all__ = ["FORMATS", "Format", "Manifest", "Taken", "articles", "export", "take"]
