"""`python -m cldm_runtime` is `cldm`."""

from .cli.main import main

main()
