"""What all records of the configuration share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict


class Record(BaseModel):
    """A frozen record that refuses unknown keys and values of the wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


# Marks a field whose default means what was done before the field was there: `Annotated[int, AS_BEFORE] = 1`. A kept
# run that has no such key can be adopted with the default.
AS_BEFORE = "as-before"

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
# YAML and JSON know lists only; strict mode would refuse them where a tuple is declared.
Steps = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Strict(False)]
