* ohmweave netlist of three_two for hspice: 3 cells, three_two last
* SI units; net 0 is ground; include this file and place the last cell
* name s0 = fc1, relu
* name s1 = layer<U+000A>.control<U+000A>shell true<U+000A>.endc <U+00B5>

* i = g v0 sinh(v/v0)
.subckt memristor_sinh p n g=1e-06
.param k0p33=0.33
gb1 p n cur='g*k0p33*sinh(v(p,n)/k0p33)'
.ends memristor_sinh

* one of every primitive
.subckt every p q
.model diode0 d level=1 is=1e-14 n=1.0 rs=0 cjo=0 tt=0
.model diode1 d level=1 is=1e-12 n=2.0 rs=0 cjo=0 tt=0
rone p q 10000.0
vbias h 0 -0.25
ileak 0 q 1e-06
ebuf k 0 p h 2.0
rload k q 1000.0
gtrans 0 q p 0 0.0001
.param k0p001=0.001
gcurve q 0 cur='k0p001*v(q)*sqrt(v(q)*v(q))'
.param k0p001=0.001
gdown q 0 cur='k0p001*v(q,h)*sqrt(v(q,h)*v(q,h))'
dclamp q 0 diode0
dback 0 q diode0
dsoft q h diode1
.ends every

* 3 x 2 crossbar wired of three_two, 6 devices
* stage s0, tile 0
.subckt three_two_wired r0 r1 r2 c0 c1
rrr0_0 r0 w0_0 1.0
rrc0_0 b0_0 b1_0 2.0
rd0_0 w0_0 b0_0 99999.99999999999
rrr0_1 w0_0 w0_1 1.0
rrc0_1 b0_1 b1_1 2.0
rd0_1 w0_1 b0_1 49999.99999999999
rrr1_0 r1 w1_0 1.0
rrc1_0 b1_0 b2_0 2.0
rd1_0 w1_0 b1_0 33333.333333333336
rrr1_1 w1_0 w1_1 1.0
rrc1_1 b1_1 b2_1 2.0
rd1_1 w1_1 b1_1 24999.999999999996
rrr2_0 r2 w2_0 1.0
rrc2_0 b2_0 c0 2.0
rd2_0 w2_0 b2_0 20000.0
rrr2_1 w2_0 w2_1 1.0
rrc2_1 b2_1 c1 2.0
rd2_1 w2_1 b2_1 10000.0
.ends three_two_wired

* 3 x 2 crossbar bare of three_two, 5 devices
.subckt three_two_bare r0 r1 r2 c0 c1
xd0_0 r0 c0 memristor_sinh g=1e-05
xd1_0 r1 c0 memristor_sinh g=2e-05
xd1_1 r1 c1 memristor_sinh g=3e-05
xd2_0 r2 c0 memristor_sinh g=4e-05
xd2_1 r2 c1 memristor_sinh g=5e-05
.ends three_two_bare

* a hand-made cell
.subckt three_two a b c y
xwired a b c s t three_two_wired
xbare a b c u 0 three_two_bare
rrs s 0 50.0
rrt t 0 50.0
rru u 0 1000.0
xev s y every
xcell y t memristor_sinh g=1.2345678901234568e-05
.ends three_two
