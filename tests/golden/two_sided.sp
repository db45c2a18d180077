* ohmweave netlist of two_sided for hspice: 1 cells, two_sided last
* SI units; net 0 is ground; include this file and place the last cell

* 2 x 2 crossbar bar of two_sided, 3 devices
.subckt two_sided_bar r0 r1 c0 c1 fr0 fr1 fc0 fc1
rfc0 fc0 b0_0 2.0
rfc1 fc1 b0_1 2.0
rrr0_0 r0 w0_0 1.5
rrc0_0 b0_0 b1_0 2.0
rd0_0 w0_0 b0_0 99999.99999999999
rrr0_1 w0_0 w0_1 1.5
rrc0_1 b0_1 b1_1 2.0
rd0_1 w0_1 b0_1 49999.99999999999
rfr0 w0_1 fr0 1.5
rrr1_0 r1 w1_0 1.5
rrc1_0 b1_0 c0 2.0
rrr1_1 w1_0 w1_1 1.5
rrc1_1 b1_1 c1 2.0
rd1_1 w1_1 b1_1 10000.0
rfr1 w1_1 fr1 1.5
.ends two_sided_bar

.subckt two_sided a b
xbar a b s t a b s u two_sided_bar
rrs s 0 50.0
rrt t 0 50.0
rru u 0 50.0
.ends two_sided
