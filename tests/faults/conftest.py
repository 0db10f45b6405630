from tests.fixtures import keys_folder

__all__ = ["keys_folder"]
