"""The forms of answers that the suite `repair` asks for. They take nothing besides their fields."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Invoice(Form):
    number: str
    customer: str
    total: float = Field(ge=0)
    currency: Literal["EUR", "USD", "GBP"]
    paid: bool
    due: date


class Ticket(Form):
    title: str = Field(max_length=60)
    priority: Literal["low", "normal", "high"]
    labels: list[str]
    minutes: int = Field(ge=0)


class Meeting(Form):
    topic: str
    day: date
    attendees: int
    decisions: list[str]


class Item(Form):
    article: str
    quantity: int


class Address(Form):
    street: str
    postcode: str
    town: str


class Delivery(Form):
    address: Address
    items: list[Item]
    express: bool


class Review(Form):
    score: float = Field(ge=0, le=1)
    verdict: Literal["good", "mixed", "bad"]
    reasons: list[str] = Field(max_length=3)


FORMS: dict[str, type[Form]] = {
    "invoice": Invoice,
    "ticket": Ticket,
    "meeting": Meeting,
    "delivery": Delivery,
    "review": Review,
}
