package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// formats are the default --format of commands, from docker's config.json.
type formats struct {
	Images string `json:"imagesFormat"`
	PS     string `json:"psFormat"`
}

// configFormats reads the formats the user has chosen. A config that is not
// there has none.
func (a *app) configFormats() (formats, error) {
	var f formats
	path := filepath.Join(a.configDir, "config.json")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return f, fmt.Errorf("read %s: %w", path, err)
	}
	return f, nil
}
