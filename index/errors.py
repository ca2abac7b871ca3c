"""What can go wrong with a library. Every message says what to do next.

LibraryError
    ModelMismatch       the library was built with another model
    NewerSchema         the library was written by a newer Dragoman
    DamagedLibrary      what is stored is not what was written
    LibraryUnavailable  the server that keeps the library does not answer, or not yet
    LibraryBusy         another process holds the one-writer lock
    LibraryClosed       the library was closed while it was still being used
    ReadOnlyLibrary     a write was asked of a library that can only be read
        Superseded      the library is a generation that no longer serves
    LibraryFull         the disk is full
    LibraryAbsent       there is no library in the folder and none was to be made
    BackupError         a backup cannot be made, or is none, or cannot be put back
    NotCalibrated       relevance was asked of a model that has no calibration
    InvalidArticle      the article or its passages cannot be stored       (a ValueError too)
    InvalidFilter       the filter names what does not exist               (a ValueError too)
    InvalidCursor       the cursor was not given for this search           (a ValueError too)
    ArticleNotFound     no article has this id                             (a LookupError too)
    PassageNotFound     no passage has this id                             (a LookupError too)
"""


class LibraryError(Exception):
    """The root of everything that the index package raises on purpose."""


class ModelMismatch(LibraryError):
    """The library was built with another model, whose vectors cannot be compared with this one's."""


class NewerSchema(LibraryError):
    """The library was written by a newer version of Dragoman than this one."""


class DamagedLibrary(LibraryError):
    """What is stored is not what was written; nothing is answered from it."""


class LibraryUnavailable(LibraryError):
    """The server that keeps the library does not answer, or is not ready to: try again."""


class LibraryBusy(LibraryError):
    """Another process or thread writes to the library, and did not end in the time given."""


class LibraryClosed(LibraryError):
    """The library was closed."""


class ReadOnlyLibrary(LibraryError):
    """The library can only be read here."""


class Superseded(ReadOnlyLibrary):
    """The library went over to another model, and this generation of it is written to no more."""


class LibraryFull(LibraryError):
    """The disk is full; the article that was being written is not in the library, everything before it is."""


class LibraryAbsent(LibraryError):
    """The folder holds no library."""


class BackupError(LibraryError):
    """A backup cannot be made there, or what is to be put back is none, or not whole."""


class NotCalibrated(LibraryError):
    """Relevance is not known for this model or mode, so nothing can be asked of it."""


class InvalidArticle(LibraryError, ValueError):
    """The article or its passages cannot be stored as they are."""


class InvalidFilter(LibraryError, ValueError):
    """The filter names a field or an operator that does not exist, or a value of the wrong type."""


class InvalidCursor(LibraryError, ValueError):
    """The cursor is not one that this search gave."""


class ArticleNotFound(LibraryError, LookupError):
    """No article has this id."""


class PassageNotFound(LibraryError, LookupError):
    """No passage has this id."""
