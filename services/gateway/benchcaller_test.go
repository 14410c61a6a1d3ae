package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// uniqueIDs drops the ids of a body, so that requests of equal text can share
// calls, as those of different senders would.
func uniqueIDs(body string) string {
	return strings.ReplaceAll(body, `"id":"01997a3e-7a4c-7c3e-9b1d-000000000000",`, "")
}

// caller sends the request again and again over one connection.
func caller(b *testing.B, addr, req string, pb *testing.PB) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	rd := bufio.NewReader(conn)
	for pb.Next() {
		if _, err := io.WriteString(conn, req); err != nil {
			b.Error(err)
			return
		}
		if err := answer(rd); err != nil {
			b.Error(err)
			return
		}
	}
}

// answer reads an answer with as little work as can be.
func answer(rd *bufio.Reader) error {
	status, err := rd.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !strings.Contains(string(status), " 200 ") {
		return fmt.Errorf("%s", status)
	}
	length := 0
	for {
		line, err := rd.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			_, err := rd.Discard(length)
			return err
		}
		if v, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
				return err
			}
		}
	}
}
