from tests.fixtures import detent, keys_folder

__all__ = ["detent", "keys_folder"]
