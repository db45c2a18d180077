* ohmweave netlist of mixed for hspice: 10 cells, mixed last
* SI units; net 0 is ground; include this file and place the last cell

* i = g v0 sinh(v/v0)
.subckt memristor_sinh p n g=1e-06
gb1 p n cur='g*0.25*sinh(v(p,n)/0.25)'
.ends memristor_sinh

* i = g f(v), f by points
.subckt memristor_table p n g=1e-06
.param k0p7=0.7
.param k1p4999999999999996=1.4999999999999996
.param k0p18461538461538396=0.18461538461538396
.param k0p03076923076923066=0.03076923076923066
.param k1p2923076923076924=1.2923076923076924
.param k0p16923076923076952=0.16923076923076952
.param k0p6=0.6
.param k1p0999999999999999=1.0999999999999999
gb1 p n cur='g*((v(p,n)<(0.0))?((v(p,n)<(-0.5))?((-k0p7)+(v(p,n)-(-0.5))*( \\
k1p4999999999999996)):((-k0p7)+(v(p,n)-(-0.5))*((k1p4999999999999996)+(v(p,n)-(-0.5))*(( \\
-k0p18461538461538396)+(v(p,n)-(-0.5))*(-k0p03076923076923066))))):((v(p,n)<(0.5))?(( \\
0.0)+(v(p,n)-(0.0))*((k1p2923076923076924)+(v(p,n)-(0.0))*((-k0p16923076923076952)+( \\
v(p,n)-(0.0))*(-k0p03076923076923066)))):((k0p6)+(v(p,n)-(0.5))*(k1p0999999999999999))))'
.ends memristor_table

* op-amp, gain 10000, output 100 ohm, -1 to 1 V
.subckt amplifier p n out
ios 0 x 1e-05
ga 0 x p n 0.01
rx x 0 1000000.0
.param k5em13=5e-13
.param k1em12=1e-12
glim x 0 cur='10.0*((0.5*((v(x)-(1.0))+abs((v(x)-(1.0))))+k5em13/(sqrt((v(x)-(1.0))*( \\
v(x)-(1.0))+k1em12)+abs((v(x)-(1.0)))))-(0.5*(((-1.0)-v(x))+abs(((-1.0)-v(x))))+k5em13/( \\
sqrt(((-1.0)-v(x))*((-1.0)-v(x))+k1em12)+abs(((-1.0)-v(x))))))'
ebuf y 0 x 0 1.0
ro y out 100.0
.ends amplifier

* op-amp, gain 10000, output 100 ohm, -1 to 1 V
.subckt rectifier_opamp p n out
ga 0 x p n 0.01
rx x 0 1000000.0
.param k5em13=5e-13
.param k1em12=1e-12
glim x 0 cur='10.0*((0.5*((v(x)-(1.0))+abs((v(x)-(1.0))))+k5em13/(sqrt((v(x)-(1.0))*( \\
v(x)-(1.0))+k1em12)+abs((v(x)-(1.0)))))-(0.5*(((-1.0)-v(x))+abs(((-1.0)-v(x))))+k5em13/( \\
sqrt(((-1.0)-v(x))*((-1.0)-v(x))+k1em12)+abs(((-1.0)-v(x))))))'
ebuf y 0 x 0 1.0
ro y out 100.0
.ends rectifier_opamp

* precision rectifier, v_out = max(-v_in, 0)
.subckt rectifier in out
.model diode0 d level=1 is=1e-14 n=1.0 rs=0 cjo=0 tt=0
ri in n 10000.0
rf n out 10000.0
xop1 0 n o rectifier_opamp
rk n o 1000000000.0
dd1 n o diode0
dd2 o out diode0
.ends rectifier

* converter, 4 bits, -0.5 to 0.5 V
.subckt adc in out
.param k0p06666666666666667=0.06666666666666667
gq 0 q cur='(-0.5)+k0p06666666666666667*min(max((int(v(in)*15.0+(8.0))-(((v(in)*15.0+( \\
8.0))<int(v(in)*15.0+(8.0)))?1:0)),0),15.0)'
rr q 0 1.0
ehold out 0 q 0 1.0
.ends adc

* arithmetic, leaky_relu
.subckt arithmetic in out
.param k0p2=0.2
.param k0p1=0.1
gf 0 out cur='k0p2*(max((v(in)/k0p1),0)+0.125*min((v(in)/k0p1),0))'
rone out 0 1.0
.ends arithmetic

* op-amp, gain 10000, output 100 ohm, -1 to 1 V
.subckt tanh_pair_opamp p n out
ga 0 x p n 0.01
rx x 0 1000000.0
.param k5em13=5e-13
.param k1em12=1e-12
glim x 0 cur='10.0*((0.5*((v(x)-(1.0))+abs((v(x)-(1.0))))+k5em13/(sqrt((v(x)-(1.0))*( \\
v(x)-(1.0))+k1em12)+abs((v(x)-(1.0)))))-(0.5*(((-1.0)-v(x))+abs(((-1.0)-v(x))))+k5em13/( \\
sqrt(((-1.0)-v(x))*((-1.0)-v(x))+k1em12)+abs(((-1.0)-v(x))))))'
ebuf y 0 x 0 1.0
ro y out 100.0
.ends tanh_pair_opamp

* differential pair, 0.5 V to 0.25 V a unit
.subckt tanh_pair in out
ra1 in a 85520.0
ra2 a 0 14480.000000000002
.param k1em05=1e-05
.param k0p0724=0.0724
gpair n 0 cur='k1em05*(0.0+1.0*tanh(v(a)/k0p0724))'
xop1 0 n out tanh_pair_opamp
rl n out 24999.999999999996
.ends tanh_pair

* one of every formula
.subckt mixed a b t
xd1 a n memristor_sinh g=2e-05
xd2 b n memristor_table g=3e-05
xop 0 n y amplifier
rf n y 20000.0
xrelu y r rectifier
xadc r q adc
xact q z arithmetic
xtanh z t tanh_pair
.ends mixed
