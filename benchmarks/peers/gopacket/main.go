// A DNS sniffer as Go programs of this field are built: gopacket over libpcap on the device "any", the filter
// "udp port 53", full decoding of every packet in user space, one map of answers that is reported and cleared each
// second. Written for this comparison from the described behaviour; it publishes nothing, which is in its favour.
//
// On SIGTERM it writes one line of JSON to stderr: packets the kernel handed over, packets it dropped, answers recorded.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcap"
)

const (
	reportInterval  = time.Second
	refreshInterval = 500 * time.Millisecond
)

type key struct{ client, name, address string }

type capture struct {
	seen time.Time
	ttl  uint32
}

type sniffer struct {
	captures map[key]capture
	answers  uint64
}

// record keeps the addresses of one answer under the name that was asked for, CNAMEs followed by one hop.
func (s *sniffer) record(packet gopacket.Packet) {
	dnsLayer := packet.Layer(layers.LayerTypeDNS)
	ipLayer := packet.Layer(layers.LayerTypeIPv4)
	if dnsLayer == nil || ipLayer == nil {
		return
	}
	ip, _ := ipLayer.(*layers.IPv4)
	dns, _ := dnsLayer.(*layers.DNS)
	if dns.OpCode != layers.DNSOpCodeQuery || dns.ResponseCode != layers.DNSResponseCodeNoErr {
		return
	}
	owners := make(map[string]string)
	for _, answer := range dns.Answers {
		if answer.Type == layers.DNSTypeCNAME {
			owners[string(answer.CNAME)] = string(answer.Name)
		}
	}
	for _, answer := range dns.Answers {
		if answer.Type != layers.DNSTypeA && answer.Type != layers.DNSTypeAAAA {
			continue
		}
		name := string(answer.Name)
		if owner, found := owners[name]; found {
			name = owner
		}
		s.captures[key{ip.DstIP.String(), name, answer.IP.String()}] = capture{packet.Metadata().Timestamp, answer.TTL}
		s.answers++
	}
}

func main() {
	handle, err := pcap.OpenLive("any", 262144, true, pcap.BlockForever)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := handle.SetBPFFilter("udp port 53"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	sniffer := &sniffer{captures: make(map[key]capture)}
	packets := gopacket.NewPacketSource(handle, handle.LinkType()).Packets()
	lastReport, lastRefresh := time.Now(), time.Now()
	for {
		select {
		case packet := <-packets:
			sniffer.record(packet)
		case <-time.After(time.Until(lastReport.Add(reportInterval))):
			sniffer.captures = make(map[key]capture)
			lastReport = time.Now()
		case <-time.After(time.Until(lastRefresh.Add(refreshInterval))):
			lastRefresh = time.Now()
		case <-stop:
			stats, err := handle.Stats()
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			_ = json.NewEncoder(os.Stderr).Encode(map[string]uint64{
				"received": uint64(stats.PacketsReceived), "dropped": uint64(stats.PacketsDropped), "answers": sniffer.answers,
			})
			return
		}
	}
}
