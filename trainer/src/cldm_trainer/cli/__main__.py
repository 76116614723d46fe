"""`python -m cldm_trainer.cli`."""

from .commands import main

if __name__ == "__main__":
    main()
