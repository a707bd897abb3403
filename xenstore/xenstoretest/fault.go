package xenstoretest

// Request is what a fault function decides by.
type Request struct {
	DomID uint16
	Op    string // the protocol's name, such as READ
	ReqID uint32
	Tx    uint32
	Path  string // the first string of the payload
}

// Fault is what is to go wrong with one request. The zero Fault is nothing.
type Fault struct {
	Drop  bool            // close the connection instead of doing it
	Mute  bool            // do it and never answer
	Error string          // answer with this error instead of doing it
	Raw   []byte          // do it and send these bytes instead of the answer
	Hold  <-chan struct{} // do it and answer once this is closed; later requests may overtake it
}

// SetFault has f asked about every request from now on; nil ends that. f must
// not call the server.
func (s *Server) SetFault(f func(Request) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// DropAll closes all connections, as a daemon that is killed does. What was
// committed stays.
func (s *Server) DropAll() {
	s.mu.Lock()
	conns := s.conns
	s.mu.Unlock()
	for _, c := range conns {
		c.drop()
	}
}
