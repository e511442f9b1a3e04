"""A snapshot of an older release loads into today's state."""

import base64

from backwatch.collector import names
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import EngineConfig

BLOB = base64.b85decode(
    "LRV8Unxqi=D77#BVEHD+E&ygZnk=9tNeBP`|NlRltv&6NwxyJRZ`ro88zE_Lc{c%=#pK)nfBTJ)w$D%%I6sg8jsS}Q?__u$u"
    "PIzIinRp~g48>$#*;Z-YLOaCj#Oy#EIIe2=da`5vqa2|;W@Kh6jWDD+vM0(`dR|dBk60ZiRVE;LG|-MJRXR{W7)uiD9DP~YJ"
    "GSfc)$QLKn#!s6=eP@l?MAegT=O{ub7~qHci2Ja8W_E(9^!gUrabCn0V4`_mmP76y!~oi7^2HfB*{uN;4%-0UlH|qu*w}zLP"
    "OlBW(`>Pr~TB7`=eAL^k5UVa8)T90cOvaGIucHRpjSsBQ7Sfd_%4fTwhf3Z9XQ=Wkm<^#oVC@E~?A2l_K=PG(pLc(C=G4i5)"
    "`2M+-cI=;ZeLBTsmE7rC;o$)+28T-zLwbrMvr7!ly^Jv=g%2jXdInnSS4hpI_8Y7H%HlyaMZFTNboxUu&ufL7;^kt<QJ5r&2"
    "qZJIxT7|YLlBQ$B8)y62$_43S8Z#IY#<pg(ZTE}(HXpEj{LsOYzJ<L@hxWZB>ZWi1m{-DRDiV5UTFdHvQe93P9*#Cm7yAU`j"
    "QpYndkMp1EE6|v-;TtBfJa^BGTJnS6#cT03J(XN=t&o=6%T}Kh62rt`6gI1D1GZ~AF#IwA9*iD>MwX-r=p}`P1H2TXS5|}NM"
    "Vt(I}IcWlgwu%E2QOGC&=Q~b0;`bFiY{pa*WP+tTh}=W6iZL3~+93v#w;$@K!R%CjGu?3^D74<}Os&rM_>j33BWo0;EsrTJU"
    "!%aGrhfa2Q>^vUv%v2E=^U{N3NRK7nbd(IGN5BqBj1Nm58_kpzS|#2}PTJrY3BX_BTeMiFQT5)eWNF@z98f)NoB5*d-S16v3"
    "JHzho-*3(cyt1KUND|8~X@=!z4Pf^o%DbL;&WsdmQ+aBkN(o#~k4vd<ONH<GnorragQbbvH!W>Qmo3N>vN&cQ8I&@bClvnft"
    ")J%WdCCH#~mq(P8tX3+6h%EBkhkrkzl5F<tVOZfRBl%}+=e*EJ41kJ24&#in>}hR%X@!0ewQLTT_>cBMelpDeU@&YD0c;&So"
    "F-|P?2|!(nD=$kHKV&*3@-hkq2TBxO#^g5`cMNvGOKm_{hz-OH-ZVpECH_|Ru;JM|9ZInhOO<Vo>}LT@nuazaqJYda%`?CVx"
    "M6;P0l9O1G)xnI<5D7FkAaf7WbnGAK`HXFPXktBfZlELXK>R!eI<8JBN3hb?vx4(k}Kmhg9|5nm3IfG5u5tvBMCi8N81<ZLo"
    "4`AK%S}4$7lOxQcJJ+>QCfw8Lh(S%hJMxqa)Kz&ncQQJxtnDJvV2lc1{;kc3{u@olj2dIJkD2gq#i0jCHyi5ASh>F;v8`GjL"
    "8-wvWx753W&yp#uyyuaat>ZtpTD8FO<?_ZNXhqRuYMb`UzM9L9}JIa<2$bI4R*qFh@4!&sX<VV|Em&4+06W~%gnA1x_tV}zV"
    "6MV}TIR6Ubc+DLu+)vyl5AAFS_EALc+J)sxTwy=sP2NGW+;EO5{<_$j=sYaB0<zt*(QTLGJubD&993DCJ&yxCMPvDDW@2?-)"
    "SVLZM1@*JqSi-lW~=X&oI;W0E{}ja?F634JOMwtiZ?0~8Rk!zCQ*!!k*zHAVlWN!XR9XkmE;I|NHQ-ALe~!88D~$7g%L$fCd"
    "mN+(DAZi_tpDv;+orrK3pT`x~`HRzRYH=c?ciXDK3*&)`uKWwkv!Dg@=xyGAYfYXYa+ml-wCPLX<245mbc^&H7Hz0qjSJBQJ"
    "FseY>x(Po$y>sL)+jtoeZtYOus_8p}EKFT|3^E2Ti}>oWY<1?!6u>8gELe0ai04N4u3t3cn685P1G$~JyW<P&~w_q%Txohal"
    "*vc1}oJ|}By556J!ULObAdwoBXu<|jdAe0I5mi$5R{3yK>3-D{!;Vi%fxWeEag4>JYr2+"
)
"""A shard after two acceptances: one until 5 ns for any value, one without end for a peer address."""


def test_acceptances_of_an_older_snapshot_are_kept() -> None:
    shard = make_engine(EngineConfig(key=b"a key of 16 byte")).new_shard()
    shard.apply([BLOB])
    assert shard.expected.silenced == {"aa" * 32: 5}
    (acceptance,) = shard.expected.accepted["bb" * 32]
    assert acceptance.shown[names.PEER_ADDRESS] == "10.0.0.9"
