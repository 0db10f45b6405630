from tests.fixtures import detent, keys_folder, standing

__all__ = ["detent", "keys_folder", "standing"]
