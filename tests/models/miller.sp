* an eight-transistor Miller op-amp; its bias current comes from outside
.subckt Miller INP INN OUT AVDD AVSS IB
m1 n1 INN tail AVSS nch w=1u l=0.5u
m2 n2 INP tail AVSS nch w=1u l=0.5u
m3 n1 n1 AVDD AVDD pch w=1u l=0.5u
m4 n2 n1 AVDD AVDD pch w=1u l=0.5u
m5 tail IB AVSS AVSS nch w=4u l=0.5u
m6 OUT n2 AVDD AVDD pch w=10u l=0.5u
m7 OUT IB AVSS AVSS nch w=20u l=0.5u
m8 IB IB AVSS AVSS nch w=4u l=0.5u
rz n2 z 1.2k
cc z OUT 0.4p
.ends
