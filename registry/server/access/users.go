package access

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/atomicfile"
)

// Users are the hashes of passwords by user, as an htpasswd file has them: bcrypt
// ($2y$) and argon2id ($argon2id$).
type Users map[string]string

// ReadUsers reads an htpasswd file; errs.ErrNotFound if there is none.
func ReadUsers(path string) (Users, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("users: %w: %w", errs.ErrNotFound, err)
	}
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	return ParseUsers(path, raw)
}

// ParseUsers reads htpasswd lines. Other hashes than bcrypt and argon2id are refused:
// they can be guessed. Errors match errs.ErrInvalid and name the line, not the hash.
func ParseUsers(file string, raw []byte) (Users, error) {
	users := Users{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		user, hash, ok := strings.Cut(line, ":")
		if !ok || user == "" {
			return nil, fmt.Errorf("%s:%d: %w: it should be USER:HASH", file, n, errs.ErrInvalid)
		}
		switch {
		case strings.HasPrefix(hash, "$2"):
			if _, err := bcrypt.Cost([]byte(hash)); err != nil {
				return nil, fmt.Errorf("%s:%d: user %s: %w: a damaged bcrypt hash", file, n, user, errs.ErrInvalid)
			}
		case strings.HasPrefix(hash, "$argon2id$"):
			if _, err := parseArgon(hash); err != nil {
				return nil, fmt.Errorf("%s:%d: user %s: %w", file, n, user, err)
			}
		default:
			return nil, fmt.Errorf("%s:%d: user %s: %w: only bcrypt (htpasswd -B) and argon2id hashes are safe", file, n, user, errs.ErrInvalid)
		}
		users[user] = hash
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", file, errs.ErrInvalid, err)
	}
	return users, nil
}

// nobody is compared with where there is no such user, so that it takes as long.
const nobody = "$2a$10$7EqJtq98hPqEX7fNZaFWoOhi0v5Qe6uQnO1qKfXhC4pXbNl3xDFWe"

// Check says whether password is the user's.
func (u Users) Check(user, password string) bool {
	hash, ok := u[user]
	if !ok {
		_ = bcrypt.CompareHashAndPassword([]byte(nobody), []byte(password))
		return false
	}
	if strings.HasPrefix(hash, "$argon2id$") {
		a, err := parseArgon(hash)
		return err == nil && a.matches(password)
	}
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}

// Set gives a user a password.
func (u Users) Set(user, password string) error {
	if user == "" || strings.ContainsAny(user, ":\n\r#") {
		return fmt.Errorf("user %q: %w: a name has no colon and no line break", user, errs.ErrInvalid)
	}
	if password == "" {
		return fmt.Errorf("user %s: %w: the password is empty", user, errs.ErrInvalid)
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt)
	a := argon{time: 2, memory: 19 << 10, threads: 1, salt: salt}
	a.sum = a.key(password, 32)
	u[user] = a.String()
	return nil
}

// Write replaces the file.
func (u Users) Write(path string) error {
	var b strings.Builder
	for _, user := range slices.Sorted(maps.Keys(u)) {
		fmt.Fprintf(&b, "%s:%s\n", user, u[user])
	}
	return atomicfile.Write(path, []byte(b.String()), atomicfile.Options{Perm: 0o600, Sync: true})
}

// An argon is an argon2id hash in PHC form: $argon2id$v=19$m=…,t=…,p=…$salt$sum.
type argon struct {
	time, memory uint32
	threads      uint8
	salt, sum    []byte
}

// maxArgonMemory bounds what a hash may make us use, in KiB.
const maxArgonMemory = 256 << 10

func parseArgon(s string) (argon, error) {
	var a argon
	var version int
	bad := fmt.Errorf("%w: a damaged argon2id hash", errs.ErrInvalid)
	f := strings.Split(s, "$")
	if len(f) != 6 {
		return a, bad
	}
	if _, err := fmt.Sscanf(f[2], "v=%d", &version); err != nil || version != argon2.Version {
		return a, bad
	}
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &a.memory, &a.time, &a.threads); err != nil {
		return a, bad
	}
	var err1, err2 error
	a.salt, err1 = base64.RawStdEncoding.DecodeString(f[4])
	a.sum, err2 = base64.RawStdEncoding.DecodeString(f[5])
	if err1 != nil || err2 != nil || len(a.sum) < 16 || len(a.sum) > 128 || a.time == 0 || a.time > 100 || a.threads == 0 || a.memory > maxArgonMemory {
		return a, bad
	}
	return a, nil
}

func (a argon) key(password string, n uint32) []byte {
	return argon2.IDKey([]byte(password), a.salt, a.time, a.memory, a.threads, n)
}

func (a argon) matches(password string) bool {
	return subtle.ConstantTimeCompare(a.key(password, uint32(len(a.sum))), a.sum) == 1
}

// String is the PHC form.
func (a argon) String() string {
	e := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.memory, a.time, a.threads, e.EncodeToString(a.salt), e.EncodeToString(a.sum))
}
