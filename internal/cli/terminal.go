package cli

import (
	"os"

	"golang.org/x/term"
)

// terminalWidth is how many columns a stream has; 80 where it is no terminal.
func terminalWidth(stream any) int {
	if f, ok := stream.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}
