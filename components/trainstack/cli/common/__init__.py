"""What all commands share: options, output, formats, errors."""
