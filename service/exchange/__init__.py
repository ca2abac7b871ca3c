from service.exchange.export import export
from service.exchange.importing import Taken, articles, take
from service.exchange.manifest import FORMATS, Format, Manifest
from service.exchange.moving import Moved, move

__all__ = ["FORMATS", "Format", "Manifest", "Moved", "Taken", "articles", "export", "move", "take"]
