"""What is noticed of a training that goes wrong, and what is said: numbers that are none, memory that is not there."""
