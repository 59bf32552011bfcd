"""What the core costs on the processors of boards, held to a committed table: `make budgets`."""
