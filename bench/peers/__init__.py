"""What irisab is measured against, each written as its own documentation would."""
