//go:build linux

package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is the nftables table that is ours.
const tableName = "mica"

// table is the name of the bridge's own table.
func (b *Bridge) table() string {
	if b.Link == "" {
		return tableName
	}
	return tableName + "_" + strings.TrimPrefix(b.Link, OwnPrefix)
}

// removeRules takes the bridge's own table away.
func (b *Bridge) removeRules() error {
	c, err := nftables.New()
	if err != nil {
		return nil //nolint:nilerr // without nftables there is no table
	}
	table := &nftables.Table{Name: b.table(), Family: nftables.TableFamilyIPv4}
	c.AddTable(table) // deleting what does not exist would fail
	c.DelTable(table)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

// ensureRules masquerades what leaves the subnet for elsewhere than the bridge, and keeps
// a bridge that is not the shared one apart from the others.
func (b *Bridge) ensureRules() error {
	subnet := b.subnet.Masked()
	err := b.ensureTable(subnet)
	if err == nil || b.Link != "" {
		return err
	}
	// No nftables in the kernel: the old interface may be there.
	rule := []string{"POSTROUTING", "-s", subnet.String(), "!", "-o", Name, "-j", "MASQUERADE"}
	if ierr := ensureIptables("nat", "-A", rule); ierr != nil {
		return fmt.Errorf("masquerade: %w", errors.Join(err, ierr))
	}
	return nil
}

// ensureTable writes our table in one transaction, unless it is there.
func (b *Bridge) ensureTable(subnet netip.Prefix) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	table := &nftables.Table{Name: b.table(), Family: nftables.TableFamilyIPv4}
	chain := &nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	}
	mark := subnet.String()
	if b.Internal {
		mark += " internal"
	}
	if rules, err := c.GetRules(table, chain); err == nil && len(rules) > 0 && string(rules[0].UserData) == mark {
		return nil
	}
	c.AddTable(table) // deleting what does not exist would fail
	c.DelTable(table)
	c.AddTable(table)
	c.AddChain(chain)
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: b.masquerade(subnet), UserData: []byte(mark)})
	if b.Link != "" {
		b.isolate(c, table)
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

// isolate drops what goes from this bridge to another of ours, or comes from one; with
// Internal, what goes anywhere.
func (b *Bridge) isolate(c *nftables.Conn, table *nftables.Table) {
	forward := c.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityFilter - 1),
	})
	iface := func(key expr.MetaKey, op expr.CmpOp, data []byte) []expr.Any {
		return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: data}}
	}
	own := ifname(b.Link)
	drop := []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}
	for _, way := range [][2]expr.MetaKey{{expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME}, {expr.MetaKeyOIFNAME, expr.MetaKeyIIFNAME}} {
		// A comparison with less than a whole name is one with its beginning.
		exprs := slices.Concat(iface(way[0], expr.CmpOpEq, own), iface(way[1], expr.CmpOpNeq, own))
		if !b.Internal {
			exprs = slices.Concat(exprs, iface(way[1], expr.CmpOpEq, []byte("mica")))
		}
		c.AddRule(&nftables.Rule{Table: table, Chain: forward, Exprs: append(exprs, drop...)})
	}
}

// masquerade is: ip saddr SUBNET oifname != BRIDGE masquerade.
func (b *Bridge) masquerade(subnet netip.Prefix) []expr.Any {
	const sourceOffset = 12 // in an IPv4 header
	addr := subnet.Addr().As4()
	mask := [4]byte{}
	for i := range subnet.Bits() {
		mask[i/8] |= 1 << (7 - i%8)
	}
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: sourceOffset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask[:], Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: addr[:]},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: ifname(b.link())},
		&expr.Masq{},
	}
}

func ifname(n string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, n)
	return b
}

// acceptForwarding lets the bridge's traffic through a FORWARD chain that drops
// by default, as docker sets it: where docker offers a chain for the rules of
// others, there, and otherwise at the front of FORWARD.
func acceptForwarding(link string) error {
	c, err := nftables.New()
	if err != nil {
		return nil // without nftables, ensureRules has called iptables
	}
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return nil
	}
	target, drops := "FORWARD", false
	for _, ch := range chains {
		if ch.Table.Name != "filter" {
			continue
		}
		if ch.Name == "FORWARD" && ch.Policy != nil && *ch.Policy == nftables.ChainPolicyDrop {
			drops = true
		}
		if ch.Name == "DOCKER-USER" {
			target = ch.Name
		}
	}
	if !drops {
		return nil
	}
	return errors.Join(
		ensureIptables("filter", "-I", []string{target, "-i", link, "-j", "ACCEPT"}),
		ensureIptables("filter", "-I", []string{target, "-o", link, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"}),
	)
}

// ensureIptables adds a rule unless it is there. The tool is used, since only
// it writes rules that it can read again.
func ensureIptables(table, how string, rule []string) error {
	call := func(op string) ([]byte, error) {
		args := append([]string{"-w", "-t", table, op}, rule...)
		return exec.Command("iptables", args...).CombinedOutput()
	}
	if _, err := call("-C"); err == nil {
		return nil
	}
	if out, err := call(how); err != nil {
		return fmt.Errorf("iptables %s: %w: %s", strings.Join(rule, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
