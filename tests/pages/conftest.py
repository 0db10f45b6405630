from tests.fixtures import keys_folder, standing

__all__ = ["keys_folder", "standing"]
