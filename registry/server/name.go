package server

// maxName is what common clients allow together with the host's name.
const maxName = 255

// ValidName says whether s is a repository's name by the grammar of the
// specification: parts of lower case letters and digits with ".", "_", "__" or
// any number of "-" between them, separated by "/".
func ValidName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for start := 0; ; {
		end := start
		for end < len(s) && s[end] != '/' {
			end++
		}
		if !validPart(s[start:end]) {
			return false
		}
		if end == len(s) {
			return true
		}
		start = end + 1
	}
}

func validPart(s string) bool {
	for i := 0; i < len(s); {
		from := i
		for i < len(s) && alphanumeric(s[i]) {
			i++
		}
		if i == from {
			return false
		}
		if i == len(s) {
			return true
		}
		n := separator(s[i:])
		if n == 0 {
			return false
		}
		i += n
	}
	return false
}

// separator is the length of the separator that s begins with.
func separator(s string) int {
	switch s[0] {
	case '.':
		return 1
	case '_':
		if len(s) > 1 && s[1] == '_' {
			return 2
		}
		return 1
	case '-':
		n := 1
		for n < len(s) && s[n] == '-' {
			n++
		}
		return n
	}
	return 0
}

func alphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// ValidTag says whether s is a tag by the grammar of the specification.
func ValidTag(s string) bool {
	if s == "" || len(s) > 128 || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && (c < 'A' || c > 'Z') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}
