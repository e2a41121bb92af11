"""What an operator does: back up, restore, reembed, take down, look at dead letters, ask the doctor."""
