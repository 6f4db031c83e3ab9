"""`python -m torchdojo` is `torchdojo`."""

from torchdojo.cli import main

if __name__ == "__main__":
    main()
