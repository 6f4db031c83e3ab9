"""The author's workshop: magics, release, verify.

`%load_ext torchdojo.authoring` in the first cell of a source notebook gives it `%%misconception`, `%%solution`,
`%%equivalent` and `%%hints`; `release` drops that cell.
"""

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Register the magics. Called by IPython."""
    from torchdojo.authoring.magics import AuthorMagics

    shell.register_magics(AuthorMagics)
