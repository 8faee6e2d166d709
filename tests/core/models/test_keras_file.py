import pytest

from trainstack.core.models.keras_file import export_advice


@pytest.mark.parametrize("name", ["outputs/model.keras", "weights/best.H5"])
def test_a_file_of_keras_comes_with_how_to_export_it(name: str):
    advice = export_advice([name, "labels.txt"])
    assert advice.startswith(f"{name} is a file of Keras")
    assert "model.export(" in advice


def test_a_saved_model_needs_no_advice():
    assert export_advice(["model/saved_model.pb", "model/keras_metadata.pb"]) == ""
